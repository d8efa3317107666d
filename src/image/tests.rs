use std::path::Path;
use std::time::Duration;

use super::*;
use crate::base::failure::UserFacing;

fn image(source: ImageSource, packages: &[&str]) -> Image {
    Image {
        packages: packages.iter().map(|&package| package.to_owned()).collect(),
        ..Image::new("test".parse().unwrap(), source)
    }
}

fn qcow2(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut header = vec![0_u8; 512];
    header[..4].copy_from_slice(b"QFI\xfb");
    header[7] = 3;
    header[20..24].copy_from_slice(&16_u32.to_be_bytes());
    header[24..32].copy_from_slice(&(3_u64 << 30).to_be_bytes());
    change(&mut header);
    std::fs::write(path, header).unwrap();
}

#[test]
fn a_key_depends_on_recipe_and_packages_but_not_on_their_order() {
    let packages = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
    let key = Recipe::Micro.key(&packages(&["a", "b"]));
    assert_eq!(key.len(), 64);
    assert_eq!(key, Recipe::Micro.key(&packages(&["b", "a", "a"])));
    assert_ne!(key, Recipe::Micro.key(&packages(&["ab"])));
    assert_ne!(key, Recipe::Debian.key(&packages(&["a", "b"])));
}

#[test]
fn every_file_of_a_recipe_is_in_the_program() {
    for recipe in [Recipe::Micro, Recipe::Debian] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("images")
            .join(recipe.name());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read_to_string(path).unwrap()));
        }
        files.sort();
        let owned = |&(name, text): &(&str, &str)| (name.to_owned(), text.to_owned());
        let mut embedded: Vec<(String, String)> = recipe.files().iter().map(owned).collect();
        embedded.sort();
        assert!(embedded == files, "{}", recipe.name());
    }
}

#[test]
fn a_qcow2_is_known_by_its_first_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().join("cache"));
    let path = temp.path().join("disk.img");
    qcow2(&path, |_| {});
    let found = file::inspect(&cache, &path, None).unwrap();
    assert_eq!((found.format, found.virtual_size), (Format::Qcow2, Some(3 << 30)));
    std::fs::write(&path, vec![1_u8; 1024]).unwrap();
    let found = file::inspect(&cache, &path, None).unwrap();
    assert_eq!((found.format, found.virtual_size), (Format::Raw, Some(1024)));
}

#[test]
fn what_boots_a_disk_is_found_once_and_found_again_for_a_record_of_an_earlier_release() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().join("cache"));
    let path = temp.path().join("disk.qcow2");
    std::fs::write(
        &path,
        boot_tests::qcow2(&boot_tests::gpt(&boot_tests::EFI_ONLY), 16, true),
    )
    .unwrap();
    let first = file::inspect(&cache, &path, None).unwrap();
    assert_eq!(first.firmware, Firmware::Uefi);
    let record = std::fs::read_dir(temp.path().join("cache/digests"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    assert_eq!(text["firmware"], "uefi");
    // What is recorded counts.
    text["firmware"] = "bios".into();
    std::fs::write(&record, text.to_string()).unwrap();
    assert_eq!(
        file::inspect(&cache, &path, None).unwrap().firmware,
        Firmware::Bios
    );
    text.as_object_mut().unwrap().shift_remove("firmware");
    std::fs::write(&record, text.to_string()).unwrap();
    assert_eq!(file::inspect(&cache, &path, None).unwrap(), first);
}

#[tokio::test]
async fn the_topology_chooses_the_firmware_and_the_facts_have_the_size_of_the_disk() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("disk.qcow2");
    qcow2(&path, |_| {});
    let (events, _receiver) = Events::channel();
    for (wanted, found) in [
        (BootFirmware::Auto, Firmware::Bios),
        (BootFirmware::Bios, Firmware::Bios),
        (BootFirmware::Uefi, Firmware::Uefi),
    ] {
        let image = Image {
            firmware: wanted,
            cloud_init: CloudInitPolicy::Strict,
            ..image(ImageSource::File(path.clone()), &[])
        };
        let options = BuildOptions {
            cache: Some(Cache::at(temp.path().join("cache"))),
            ..BuildOptions::default()
        };
        let built = ensure_built(&image, &options, &events).await.unwrap();
        assert_eq!(
            (built.firmware, built.cloud_init),
            (found, CloudInitPolicy::Strict)
        );
        assert_eq!(built.facts().disk_mib().map(|size| size.0), Some(3 << 10));
    }
}

#[test]
fn a_disk_that_points_at_other_files_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().join("cache"));
    let path = temp.path().join("disk.qcow2");
    qcow2(&path, |header| header[15] = 104);
    let error = file::inspect(&cache, &path, None).unwrap_err();
    assert!(error.to_string().contains("backing file"), "{error}");
    assert!(error.hint().unwrap().contains("qemu-img convert"));
    qcow2(&path, |header| header[79] = 0b100);
    let error = file::inspect(&cache, &path, None).unwrap_err();
    assert!(error.to_string().contains("another file"), "{error}");
}

#[test]
fn a_file_that_is_not_a_disk_is_refused_by_its_kind() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().join("cache"));
    let path = temp.path().join("x");
    for (content, says) in [
        (&b"KDMV and so on"[..], "VMDK"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"BZh91AY", "bzip2"),
        (b"QED\0", "QED"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"", "neither"),
        (b"just text", "neither"),
        (b"QFI\xfb\0", "truncated"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = file::inspect(&cache, &path, None).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for (at, magic, says, hint) in [
        (257, &b"ustar"[..], "tar", "unpack it"),
        (32_769, b"CD001", "a CD", "whole disk"),
        (1080, b"\x53\xef", "ext4", "whole disk"),
    ] {
        let mut content = vec![0_u8; 64 << 10];
        content[at..at + magic.len()].copy_from_slice(magic);
        std::fs::write(&path, content).unwrap();
        let error = file::inspect(&cache, &path, None).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{error}");
    }
    qcow2(&path, |header| header[79] = 0b10);
    let error = file::inspect(&cache, &path, None).unwrap_err();
    assert!(error.to_string().contains("corrupt"), "{error}");
    let error = file::inspect(&cache, temp.path(), None).unwrap_err().to_string();
    assert!(error.contains("regular file"), "{error}");
    let error = file::inspect(&cache, Path::new("/no/such/disk"), None).unwrap_err();
    assert!(matches!(error, ImageError::Missing(_)), "{error}");
}

#[test]
fn a_wrong_digest_is_an_error_that_names_both() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().join("cache"));
    let path = temp.path().join("disk.qcow2");
    qcow2(&path, |_| {});
    let right = file::inspect(&cache, &path, None).unwrap().sha256;
    let wrong = "0".repeat(64);
    let error = file::inspect(&cache, &path, Some(&wrong))
        .unwrap_err()
        .to_string();
    assert!(error.contains(&right) && error.contains(&wrong), "{error}");
    assert!(file::inspect(&cache, &path, Some(&right)).is_ok());
}

#[test]
fn a_file_that_changed_gets_a_new_digest() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().join("cache"));
    let path = temp.path().join("disk");
    std::fs::write(&path, vec![1_u8; 512]).unwrap();
    let before = file::inspect(&cache, &path, None).unwrap().sha256;
    assert_eq!(before, file::inspect(&cache, &path, None).unwrap().sha256);
    std::fs::write(&path, vec![2_u8; 1024]).unwrap();
    assert_ne!(before, file::inspect(&cache, &path, None).unwrap().sha256);
}

#[test]
fn an_incomplete_cached_image_is_an_error_with_a_hint() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().to_owned());
    let dir = cache.image_dir("k");
    assert!(cache.find("m", "k").unwrap().is_none());
    std::fs::create_dir(&dir).unwrap();
    let manifest = |name: &str| {
        format!(
            r#"{{"format":1,"name":"micro","kind":"kernel","arch":"amd64","cmdline":"quiet","ready_marker":true,
            "user":"root","minimum_memory_mib":96,"packages":[],
            "files":[{{"role":"kernel","name":"{name}","format":"raw","sha256":"{}","size":3}}]}}"#,
            "a".repeat(64)
        )
    };
    std::fs::write(dir.join("image.json"), manifest("vmlinux")).unwrap();
    std::fs::write(dir.join("vmlinux"), "abc").unwrap();
    let found = cache.find("m", "k").unwrap().unwrap();
    assert!(found.has_ready_marker() && !found.has_cloud_init());
    assert_eq!(found.file(Role::Kernel).unwrap().size, 3);
    assert_eq!(cache.list().unwrap(), [(dir.clone(), found.manifest)]);
    std::fs::write(dir.join("vmlinux"), "ab").unwrap();
    assert!(cache.list().unwrap().is_empty());
    let error = cache.find("m", "k").unwrap_err();
    assert!(error.to_string().contains("2 bytes instead of 3"), "{error}");
    assert!(error.hint().unwrap().contains("--rebuild"));
    std::fs::write(dir.join("image.json"), manifest("../vmlinux")).unwrap();
    assert!(cache.find("m", "k").is_err());
}

#[tokio::test]
async fn an_invalid_package_fails_with_the_error_of_the_recipe_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let options = BuildOptions {
        cache: Some(Cache::at(temp.path().to_owned())),
        ..BuildOptions::default()
    };
    let (events, _receiver) = Events::channel();
    let error = ensure_built(&image(ImageSource::Micro, &["Bad;name"]), &options, &events)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("invalid package name: 'Bad;name'"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains(".log"));
    let left: Vec<_> = std::fs::read_dir(temp.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_second_builder_waits_and_can_be_stopped() {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::at(temp.path().to_owned());
    let held = cache.lock("m", "k", &CancellationToken::new()).await.unwrap();
    let cancel = CancellationToken::new();
    let waiting = tokio::spawn({
        let (cache, cancel) = (cache.clone(), cancel.clone());
        async move { cache.lock("m", "k", &cancel).await.map(|_| ()) }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    cancel.cancel();
    assert!(matches!(waiting.await.unwrap(), Err(ImageError::Cancelled(_))));
    drop(held);
    cache.lock("m", "k", &CancellationToken::new()).await.unwrap();
}
