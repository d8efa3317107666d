//! Errors of bad input: all of them, each at its place.

use super::*;

/// The messages with line and column, one a line.
pub(super) fn messages(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => panic!("this was accepted:\n{text}"),
        Err(diagnostics) => diagnostics
            .list()
            .iter()
            .map(|diagnostic| {
                assert!(diagnostic.hint.is_some(), "no hint: {}", diagnostic.message);
                format!(
                    "{}:{}: {}",
                    diagnostic.at.line, diagnostic.at.column, diagnostic.message
                )
            })
            .collect(),
    }
}

/// Asserts that a topology with this line in it has one mistake, of this text.
pub(super) fn one(text: &str, wanted: &str) {
    let found = messages(text);
    assert!(
        found.len() == 1 && found[0].contains(wanted),
        "{text}\nwanted {wanted}\nfound {found:#?}"
    );
}

#[test]
fn every_mistake_is_reported_at_once() {
    insta::assert_snapshot!(bad(r#"nme: redis
name: "../x"
hosts:
  bm[01-15]: { uri: "qemu+ssh://root@{{nam}}/system", max_nodes: ten, overcomit: 3 }
  bm03: {}
images:
  a: { from: b }
  b: { from: a }
  c: { from: micr, packages: [Foo] }
  d: { from: ./cloud.qcow2, sha256: abc }
network: { subnet: 10.77.0.0/30, mtu: 5, dns: [foo] }
defaults: { image: redsi, memory: 112, vcpus: 0 }
groups:
  seed:  { count: 3, place: sprea }
  redis: { count: 147, memory: 3GiB, memory: 4GiB }
  web: {}
  zero: { count: 0 }
vars: { port: 6379 }
configure:
  - { on: "@all", template: redis.conf.hb, to: /etc/redis/redis.conf, mode: 0644 }
  - { on: "@redsi", run: "redis-server", timeout: soon }
  - { on: seed, run: x, to: /etc/x }
  - { run: x, content: y }
  - { content: x, to: ../etc, owner: "$(x)", mode: "9999" }
  - {}
workload:
  - { run: x, name: a }
  - { run: x, name: a, collect: ["/var/$(x)"], barrier: maybe }
"#));
}

#[test]
fn mistakes_in_templates_are_shown_where_they_are_written() {
    let dir = directory(&[("redis.conf.hbs", "port {{vars.port}}\nbind {{node.adress}}\n")]);
    let text = r#"name: x
vars: { port: 1 }
groups: { web: { count: 2, vars: { zone: a } }, db: { count: 1 } }
configure:
  - { template: redis.conf.hbs, to: "/etc/{{node.nme}}" }
  - run: "echo {{vars.prt}}"
  - run: |
      first
      {{#each nodes}}{{addres}}{{/each}}
  - on: "@web"
    run: "{{vars.zone}} {{uper node.name}}"
  - run: "{{vars.zone}}"
  - { content: "{{#if node}}", to: "{{node.name}}" }
"#;
    let diagnostics = Topology::parse(text, "topology.yaml", dir.path()).unwrap_err();
    insta::assert_snapshot!(diagnostics.render(false));
}

#[test]
fn broken_yaml_is_one_mistake_at_its_place() {
    insta::assert_snapshot!(bad("name: x\ngroups: { web: { count: 2 }\nvars: [\n"));
    insta::assert_snapshot!(bad("name: x\nhosts:\n  h: { uri: {{name}} }\n"));
}

#[test]
fn diagnostics_have_a_form_for_programs_and_one_with_colour() {
    let diagnostics = parse("name: x\ngroups: { web: { cuont: 2 } }\n").unwrap_err();
    insta::assert_json_snapshot!(diagnostics.to_json());
    assert!(diagnostics.render(true).contains('\u{1b}'));
    assert!(!diagnostics.render(false).contains('\u{1b}'));
}

#[test]
fn a_topology_cannot_control_the_terminal() {
    let text = bad("name: \"a\\e[2Jb\"\ngroups: { \"\\e]0;x\\a\": { count: 1 } }\n\"\\e[1m\": 2\n");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
}

#[test]
fn names_that_leave_a_path_or_enter_xml_or_a_shell_are_refused() {
    for name in ["../x", "a<b", "$(x)", "a b", "A", "", "-a", "é", "a.b"] {
        one(
            &format!("name: {name:?}\ngroups: {{ a: {{ count: 1 }} }}\n"),
            "cluster name",
        );
        let found = messages(&format!("name: x\ngroups: {{ {name:?}: {{ count: 1 }} }}\n"));
        assert!(found[0].contains("group name"), "{found:?}");
        let found = messages(&format!(
            "name: x\nimages: {{ {name:?}: {{ from: micro }} }}\ngroups: {{ a: {{ count: 1 }} }}\n"
        ));
        assert!(found[0].contains("image name"), "{found:?}");
    }
    for name in ["../x", "a<b", "$(x)", "A"] {
        messages(&format!(
            "name: x\nhosts: {{ {name:?}: {{}} }}\ngroups: {{ a: {{ count: 1 }} }}\n"
        ));
        messages(&format!("name: x\ngroups: {{ a: {{ nodes: {name:?} }} }}\n"));
    }
}

#[test]
fn counts_of_nodes_have_bounds() {
    one("name: x\ngroups: { a: { count: 0 } }\n", "has 0 nodes");
    one("name: x\ngroups: {}\n", "no `groups`");
    one("name: x\n", "no `groups`");
    one(
        "name: x\ngroups: { a: { count: 100001 } }\n",
        "more than 100000 nodes",
    );
    one("name: x\ngroups: { a: { count: 100000 } }\n", "too small");
    one(
        "name: x\ngroups: { a: { count: -1 } }\n",
        "expected a whole number",
    );
    one(
        "name: x\ngroups: { a: { nodes: \"n[1-999999999]\" } }\n",
        "more than",
    );
    one(
        "name: x\ngroups: { a: { count: 1, nodes: b } }\n",
        "both `count` and `nodes`",
    );
}

#[test]
fn keys_of_an_image_that_it_would_ignore_are_refused() {
    let with = |keys: &str| {
        format!(
            "name: x\nimages: {{ i: {{ from: micro, {keys} }} }}\ngroups: {{ a: {{ count: 1, image: i }} }}\n"
        )
    };
    one(&with("firmware: uefi"), "`firmware` is for image files only");
    one(&with("cloud_init: strict"), "the micro image has no cloud-init");
    one(
        &with("user_data: { packages: [x] }"),
        "the micro image has no cloud-init",
    );
    let found = messages(
        "name: x\nimages: { i: { from: ./x, firmware: efi } }\ngroups: { a: { count: 1, image: i } }\n",
    );
    let wanted = "expected one of `auto`, `bios`, `uefi`, found the text `efi`";
    assert!(found.iter().any(|found| found.contains(wanted)), "{found:#?}");
    one(
        &with("user_data: [x]"),
        "expected the path of a file, or a mapping",
    );
    one(
        "name: x\ngroups: { a: { count: 1, user_data: { packages: [x] } } }\n",
        "the micro image has no cloud-init",
    );
}

#[test]
fn what_cloud_init_would_not_read_as_cloud_config_is_refused() {
    let dir = directory(&[
        ("script.sh", "#!/bin/sh\n"),
        ("late.yaml", "\n#cloud-config\n"),
        ("nul.yaml", "#cloud-config\n\0"),
        ("mark.yaml", "\u{feff}#cloud-config\n"),
    ]);
    for (file, wanted) in [
        (
            "script.sh",
            "is not a cloud-config: its first line is not `#cloud-config`",
        ),
        ("late.yaml", "its first line is not"),
        ("nul.yaml", "contains a NUL byte"),
        ("mark.yaml", "begins with a byte order mark"),
        ("none.yaml", "the cloud-config `none.yaml` does not exist"),
        ("../own.yaml", "outside of the topology's directory"),
    ] {
        let text = format!("name: x\ngroups: {{ a: {{ count: 1, image: debian, user_data: {file} }} }}\n");
        let error = Topology::parse(&text, "t.yaml", dir.path()).unwrap_err();
        assert_eq!(error.list().len(), 1, "{error}");
        assert!(error.list()[0].message.contains(wanted), "{error}");
    }
    one(
        "name: x\ngroups: { a: { count: 1, image: debian, user_data: { write_files: [{ path: /x, permissions: 644 }] } } }\n",
        "`permissions` in `user_data` is a number",
    );
}

#[test]
fn every_name_stands_for_one_machine() {
    one(
        "name: x\ngroups: { a: { count: 2 }, b: { nodes: a002 } }\n",
        "`a002` is in two groups",
    );
    one(
        "name: x\nhosts: { a001: {} }\ngroups: { a: { count: 2 } }\n",
        "has the name of a host",
    );
    one(
        "name: x\nhosts: { \"h[1-3]\": {}, h2: {} }\ngroups: { a: { count: 2 } }\n",
        "`h2` is named twice",
    );
    one(
        "name: x\ngroups: { all: { count: 2 } }\n",
        "cannot be called `all`",
    );
    // Ansible would take these nodes for its own groups.
    for name in ["all", "ungrouped", "localhost"] {
        one(
            &format!("name: x\ngroups: {{ a: {{ nodes: {name} }} }}\n"),
            "the name is reserved",
        );
    }
}

#[test]
fn names_in_values_are_checked_in_every_branch() {
    for (values, wanted) in [
        (
            "vars: { x: \"{{#if (eq index 7)}}{{vars.tsl}}{{/if}}\" }",
            "vars: unknown variable `vars.tsl`",
        ),
        (
            "memory: \"{{#if (eq index 7)}}{{vars.tsl}}{{else}}1GiB{{/if}}\"",
            "memory: unknown variable `vars.tsl`",
        ),
    ] {
        one(
            &format!("name: x\nvars: {{ tls: true }}\ngroups: {{ a: {{ count: 2, {values} }} }}\n"),
            wanted,
        );
    }
    one(
        "name: x\nhosts: { h: { uri: \"qemu+ssh://{{#if (eq index 7)}}{{vars.u}}{{else}}root{{/if}}@h/system\" } }\ngroups: { a: { count: 1 } }\n",
        "uri: unknown variable `vars.u`",
    );
    good(
        "name: x\ngroups: { a: { count: 1, vcpus: \"{{#if (defined vars.n)}}{{vars.n}}{{else}}2{{/if}}\" } }\n",
    );
}

#[test]
fn a_number_is_shown_as_it_is_written() {
    one("name: x\ngroups: { a: { count: 010 } }\n", "found the number 010");
    one(
        "name: x\nvars: { a: .inf }\ngroups: { a: { count: 1 } }\n",
        "`.inf` is not a number that can be used",
    );
}

#[test]
fn what_an_image_cannot_be_made_of_is_named() {
    one(
        "name: x\nimages: { c: { from: \"https://example.org/c.img\" } }\ngroups: { a: { count: 1, image: c } }\n",
        "the image `https://example.org/c.img` is a URL",
    );
    one(
        "name: x\nimages: { c: { from: micro, user: joe } }\ngroups: { a: { count: 1, image: c } }\n",
        "no other login user than `root`",
    );
    one(
        "name: x\ngroups: { a: { count: 1, image: ./c.img } }\n",
        "unknown image `./c.img`",
    );
}

#[test]
fn subnets_must_be_ipv4_and_large_enough() {
    let with = |subnet: &str| {
        format!("name: x\nnetwork: {{ subnet: {subnet:?} }}\ngroups: {{ a: {{ count: 5 }} }}\n")
    };
    for (subnet, wanted) in [
        ("10.0.0.0/33", "not a network"),
        ("10.0.0/8", "not a network"),
        ("hello", "not a network"),
        ("fd00::/64", "IPv6"),
        ("10.0.0.1/24", "beyond its prefix"),
        ("127.0.0.0/8", "cannot be"),
        ("224.0.0.0/8", "cannot be"),
        ("0.0.0.0/0", "cannot be"),
        ("10.0.0.0/29", ""),
    ] {
        if wanted.is_empty() {
            good(&with(subnet));
        } else {
            one(&with(subnet), wanted);
        }
    }
    one(
        "name: x\nnetwork: { subnet: 10.0.0.0/29 }\ngroups: { a: { count: 6 } }\n",
        "7 addresses are needed (6 nodes, 1 host), 6 are usable",
    );
    one(
        "name: x\nnetwork: { gateway: 10.78.0.1 }\ngroups: { a: { count: 6 } }\n",
        "is not in the subnet",
    );
}

#[test]
fn a_range_is_a_part_of_the_subnet_that_is_large_enough() {
    let with = |range: &str| {
        format!(
            "name: x\nnetwork: {{ subnet: 192.168.50.0/24, bridge: br0, range: {range:?} }}\ngroups: {{ a: {{ count: 5 }} }}\n"
        )
    };
    for (range, wanted) in [
        ("192.168.50.100", "range: `192.168.50.100`: it is neither"),
        (
            "192.168.50.9-192.168.50.1",
            "its last address is below its first one",
        ),
        ("192.168.51.0/24", "is not in the subnet 192.168.50.0/24"),
        (
            "192.168.50.100-192.168.50.103",
            "the range 192.168.50.100-192.168.50.103 is too small: 5 addresses are needed (5 nodes, 0 hosts), 4 are usable",
        ),
    ] {
        one(&with(range), wanted);
    }
    let topology = good(&with("192.168.50.100-192.168.50.104"));
    assert_eq!(
        topology.network.range.unwrap().to_string(),
        "192.168.50.100-192.168.50.104"
    );
    good(&with("192.168.50.64/29"));
}

#[test]
fn unsupported_uris_are_refused() {
    let with =
        |uri: &str| format!("name: x\nhosts: {{ h: {{ uri: {uri:?} }} }}\ngroups: {{ a: {{ count: 1 }} }}\n");
    for uri in [
        "test:///default",
        "xen:///system",
        "qemu:///session",
        "qemu+tcp://h/system",
        "qemu+ssh://h",
        "qemu+ssh://h/session",
        "qemu+ssh:///system",
        "qemu+ssh://root@h/system?keyfile=/x",
        "qemu+ssh://-oProxyCommand=x@h/system",
        "qemu+ssh://h;reboot/system",
        "qemu+ssh://h:0/system",
        "qemu+ssh://h:99999/system",
        "qemu+ssh://[::g]/system",
        "qemu+unix:///system",
        "qemu+unix:///system?socket=relative",
        "qemu+unix:///system?socket=/a&command=x",
        "",
    ] {
        assert_eq!(messages(&with(uri)).len(), 1, "{uri}");
    }
    one(
        &with("qemu+ssh://root@h:22/system?keyfile=/k&sshauth=privkey&no_verify=1&known_hosts=/x"),
        "not supported here: `keyfile`, `sshauth`, `no_verify`, `known_hosts`",
    );
    for uri in [
        "qemu:///system",
        "qemu+ssh://h/system",
        "qemu+ssh://me@h.example.org:22/system",
        "qemu+ssh://root@[::1]:2222/system",
    ] {
        good(&with(uri));
    }
}

#[test]
fn all_unknown_names_of_a_template_are_reported_at_once() {
    let found = messages(
        "name: x\nvars: { tls: true }\ngroups: { a: { count: 1, vars: { zone: z } }, b: { count: 1 } }\nconfigure:\n  - run: |\n      {{#if vars.tsl}}{{nde.name}}{{else if (uper vars.zone)}}x{{/if}}\n      {{#each nodes as |n|}}{{n.nam}} {{@idx}} {{../vars.tls}}{{/each}}\n  - run: \"{{#if (eq group.name \\\"a\\\")}}{{vars.zone}}{{/if}}\"\n",
    );
    assert_eq!(
        found,
        [
            "6:7: run: unknown variable `vars.tsl`",
            "6:23: run: unknown variable `nde.name`",
            "6:35: run: unknown helper `uper`",
            "7:29: run: unknown variable `n.nam`",
            "7:39: run: unknown variable `@idx`",
        ]
    );
}

#[test]
fn numbers_in_variables_keep_their_text_and_their_value() {
    let topology = good(
        "name: x\nvars: { v: 1.10, list: [007, 0x1F, 1e3, 5], map: { m: 1_000 }, same: &s 2.50, again: *s, text: \"1.10\" }\ngroups: { a: { count: 1, vars: { n: 0.10 } } }\n",
    );
    let json = serde_json::json!({
        "v": "1.10",
        "list": ["007", "0x1F", "1e3", 5],
        "map": { "m": "1_000" },
        "same": "2.50",
        "again": "2.50",
        "text": "1.10",
    });
    assert_eq!(serde_json::Value::Object(topology.vars), json);
    assert_eq!(topology.nodes[0].vars["n"], "0.10");
}

#[test]
fn files_stay_inside_the_directory_of_the_topology() {
    let outside = directory(&[("secret", "x")]);
    let dir = directory(&[("inside.hbs", "x")]);
    std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("link")).unwrap();
    let parse = |file: &str, key: &str| {
        let text = format!(
            "name: x\ngroups: {{ a: {{ count: 1 }} }}\nconfigure: [ {{ {key}: {file:?}, to: /x }} ]\n"
        );
        Topology::parse(&text, "t.yaml", dir.path())
    };
    let secret = outside.path().join("secret").to_string_lossy().into_owned();
    for key in ["template", "file"] {
        for file in ["../secret", "link", "a/../../secret", "/etc/passwd", &secret] {
            let error = parse(file, key).unwrap_err();
            assert!(
                error.list()[0]
                    .message
                    .contains("outside of the topology's directory"),
                "{error}"
            );
        }
        let error = parse("insid.hbs", key).unwrap_err();
        assert_eq!(
            error.list()[0].hint.as_deref(),
            Some("did you mean `inside.hbs`?")
        );
        assert!(parse(".", key).unwrap_err().to_string().contains("is not a file"));
        assert!(parse("inside.hbs", key).is_ok());
    }
}

#[test]
fn a_fanout_is_a_number_and_not_allowed_with_a_barrier() {
    let step = |step: &str| {
        format!("name: x\ngroups: {{ n: {{ count: 1 }} }}\nworkload:\n  - {{ run: \"true\", {step} }}\n")
    };
    let topology = good(&step("fanout: 3"));
    assert_eq!(topology.workload[0].fanout, Some(3));
    assert_eq!(good(&step("timeout: 5s")).workload[0].fanout, None);
    one(&step("fanout: 0"), "4:28: fanout: `0` is not a whole number");
    one(
        &step("barrier: true, fanout: 3"),
        "4:43: a step with a barrier starts on all its nodes at once",
    );
}

#[test]
fn places_on_a_node_are_absolute() {
    for to in [
        "etc/x",
        "/etc/../x",
        "/etc/",
        "/a\\nb",
        "{{node.name}}",
        "/x/{{vars.up}}",
    ] {
        let text = format!(
            "name: x\nvars: {{ up: \"..\" }}\ngroups: {{ a: {{ count: 1 }} }}\nconfigure: [ {{ content: x, to: \"{to}\" }} ]\n"
        );
        one(&text, "to: ");
    }
}

#[test]
fn sizes_times_and_numbers_must_parse() {
    let with = |field: &str| format!("name: x\ngroups: {{ a: {{ count: 1, {field} }} }}\n");
    for field in [
        "memory: lots",
        "memory: 1MiB",
        "memory: 99999GiB",
        "memory: 10kB",
        "vcpus: 0",
        "vcpus: 1.5",
        "vcpus: x",
        "vcpus: 9999",
        "disk: \"-1GiB\"",
        "vcpus: []",
    ] {
        assert_eq!(messages(&with(field)).len(), 1, "{field}");
    }
    for time in ["soon", "0s", "-1s", "10", "999999h", ""] {
        let text = format!(
            "name: x\ngroups: {{ a: {{ count: 1 }} }}\nworkload: [ {{ run: x, timeout: {time:?} }} ]\n"
        );
        assert_eq!(messages(&text).len(), 1, "{time}");
    }
}
