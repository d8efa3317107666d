use super::*;

/// Output of a healthy Debian host.
pub(in crate::doctor) const HEALTHY: &str = r#"@@kernel
6.1.0-28-amd64
@@system
ID=debian
systemd
@@missing
@@emulator
/usr/bin/qemu-system-x86_64
@@daemons
libvirtd 812 8192 8192 40
virtlogd 813 524288 524288 9
@@limits
libvirtd max_clients 1000
qemu max_files 4096
@@cpu
device
vmx
nested Y
@@sshd
allowtcpforwarding yes
allowstreamlocalforwarding yes
disableforwarding no
permitopen any
maxstartups 10:30:100
maxsessions 10
@@settings
net/ipv4/neigh/default/gc_thresh1 128
net/ipv4/neigh/default/gc_thresh2 512
net/ipv4/neigh/default/gc_thresh3 1024
net/ipv4/ip_forward 0
fs/file-max 9223372036854775807
vm/overcommit_memory 0
fs/file-nr 2000
@@neighbours
5
@@clock
yes
@@security
apparmor Y
profile
helper
driver "none"
@@modules
vxlan loadable
bridge loaded
nf_tables loaded
tun loaded
@@memory
SwapTotal:       2097148 kB
SwapFree:        2097148 kB
@@ksm
0
@@inodes
Filesystem      Inodes  IUsed   IFree IUse% Mounted on
/dev/sda1      6553600 100000 6453600    2% /
@@links
[{"ifname":"lo"},{"ifname":"vcb0000000a","ifalias":"vcluster:demo:00000000-0000-0000-0000-000000000002"},
 {"ifname":"vcx0000000b","ifalias":"mine"},{"ifname":"vcbridge","ifalias":""}]
@@firewall
-P FORWARD DROP
-P INPUT ACCEPT

@@end
"#;

#[test]
fn the_output_of_a_host_is_parsed() {
    let machine = Machine::read(HEALTHY).unwrap();
    assert_eq!(machine.kernel, Some((6, 1)));
    assert_eq!((machine.family, machine.systemd), (Family::Debian, true));
    assert_eq!(machine.missing, Vec::<String>::new());
    assert_eq!(machine.daemons[0].files, 8192);
    assert_eq!(machine.limits["libvirtd.max_clients"], 1000);
    assert_eq!(
        (machine.cpu_flag.as_deref(), machine.nested),
        (Some("vmx"), Some(true))
    );
    assert!(machine.kvm_device && !machine.is_guest && machine.emulator);
    assert_eq!(machine.sshd["maxstartups"], "10:30:100");
    assert_eq!(machine.setting("net/ipv4/neigh/default/gc_thresh3"), Some(1024));
    assert_eq!((machine.neighbours, machine.synchronised), (5, Some(true)));
    assert!(machine.apparmor && machine.apparmor_profile && machine.apparmor_helper);
    assert_eq!(machine.security_driver.as_deref(), Some("none"));
    assert_eq!(machine.modules["vxlan"], Module::Loadable);
    assert_eq!((machine.swap, machine.swap_used), (MiB(2047), MiB(0)));
    assert_eq!(machine.inodes, Some(6_453_600));
    assert_eq!(machine.foreign_links, ["vcx0000000b"]);
    assert!(machine.forward_drop && !machine.input_drop);
}

#[test]
fn garbage_counts_as_absent() {
    assert_eq!(Machine::read(""), None);
    assert_eq!(Machine::read("@@kernel\nnonsense\n@@end\n"), None);
    let text = "@@kernel\n6.1\n@@missing\n$(reboot)\nip\n@@daemons\nlibvirtd x y z\nlibvirtd 1 2\nbash 1 2 3 4\n\
                @@limits\nlibvirtd max_clients -3\n@@settings\nfs/file-max \u{1b}[2J\n@@modules\nvxlan maybe\nrootkit loaded\n\
                @@inodes\nx\ny z\n@@links\n{]\n@@neighbours\n-1\n@@cpu\nnested ?\n@@end\n";
    let machine = Machine::read(text).unwrap();
    assert_eq!(
        machine,
        Machine {
            kernel: Some((6, 1)),
            missing: vec!["ip".into()],
            ..Machine::default()
        }
    );
}

#[test]
fn values_of_a_host_carry_no_escapes() {
    let text = format!(
        "@@kernel\n6.1\n@@sshd\nmaxstartups \u{1b}[2J{}\n@@end\n",
        "x".repeat(500)
    );
    let machine = Machine::read(&text).unwrap();
    assert_eq!(machine.sshd["maxstartups"].len(), 60);
    assert!(machine.sshd["maxstartups"].starts_with("[2Jx"));
}

#[test]
fn the_script_runs_to_its_end_on_this_machine() {
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(script())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.ends_with("@@end\n"), "{text}");
    let machine = Machine::read(&text).unwrap();
    assert!(machine.setting("fs/file-max").is_some() && machine.modules.len() == 4);
}
