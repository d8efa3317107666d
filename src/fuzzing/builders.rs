//! What we write for other programs: XML, seeds, shell words, JSON, ssh_config. It must parse back to the same values.

use std::io::{Cursor, Read as _};
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};

use super::pieces::Pieces;
use crate::base::name::NodeName;
use crate::inventory::Mac;
use crate::seed::{SeedInput, volume};
use crate::verdict::junit::{Case, Outcome, document};

/// Parses a document: every attribute as `element@attribute`, every text as `element`.
fn values(xml: &str) -> Vec<(String, String)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut found, mut path, mut text) = (Vec::new(), Vec::<String>::new(), String::new());
    loop {
        let event = reader
            .read_event()
            .unwrap_or_else(|error| panic!("not well-formed: {error}\n{xml}"));
        match event {
            Event::Empty(start) => attributes(&start, &mut found),
            Event::Start(start) => {
                attributes(&start, &mut found);
                path.push(String::from_utf8(start.name().as_ref().to_vec()).unwrap());
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.decode().unwrap()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().unwrap() {
                Some(character) => text.push(character),
                None => text.push_str(resolve_predefined_entity(&reference.decode().unwrap()).unwrap()),
            },
            Event::End(_) => {
                let name = path.pop().unwrap();
                if !text.trim().is_empty() {
                    found.push((name, std::mem::take(&mut text)));
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty(), "elements are left open\n{xml}");
    found
}

fn attributes(start: &quick_xml::events::BytesStart<'_>, found: &mut Vec<(String, String)>) {
    let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
    for attribute in start.attributes() {
        let attribute = attribute.unwrap();
        let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
        let raw = String::from_utf8(attribute.value.to_vec()).unwrap();
        found.push((
            format!("{name}@{key}"),
            quick_xml::escape::unescape(&raw).unwrap().into_owned(),
        ));
    }
}

fn has(found: &[(String, String)], name: &str, value: &str) {
    let value = value.trim();
    assert!(
        value.is_empty()
            || found
                .iter()
                .any(|(found, text)| found == name && text.trim() == value),
        "{name} is not {value:?} in {found:?}"
    );
}

/// For any values, the output is well-formed and contains them.
pub fn builders(data: &[u8]) {
    let mut pieces = Pieces(data);
    match pieces.byte() % 5 {
        0 => domains(&mut pieces),
        1 => results(&mut pieces),
        2 => seeds(&mut pieces),
        3 => words(&mut pieces),
        _ => lines(&mut pieces),
    }
}

fn domains(pieces: &mut Pieces<'_>) {
    let (a, b, c) = (pieces.text(), pieces.text(), pieces.text());
    for (xml, wanted) in crate::host::fuzzing::documents(&a, &b, &c) {
        let found = values(&xml);
        for (name, value) in wanted {
            has(&found, name, &value);
        }
    }
}

fn results(pieces: &mut Pieces<'_>) {
    let case = Case {
        step: pieces.text(),
        node: pieces.text(),
        took: Duration::from_millis(u64::from(pieces.byte())),
        uncollected: vec![pieces.text()],
        outcome: Outcome::Failed {
            message: pieces.text(),
            output: pieces.rest(),
        },
    };
    let xml = document("demo", std::slice::from_ref(&case), &[]).unwrap();
    let found = values(&xml);
    let plain = |text: &str| text.chars().all(|c| !c.is_control() && c < '\u{fffe}');
    if plain(&case.step) && plain(&case.node) {
        has(&found, "testsuite@name", &case.step);
        has(&found, "testcase@name", &case.node);
    }
}

fn seeds(pieces: &mut Pieces<'_>) {
    let key = PrivateKey::from(Ed25519Keypair::from(Ed25519PrivateKey::from_bytes(&[7; 32])));
    let name: NodeName = "n1".parse().unwrap();
    let (instance, user) = (pieces.text(), pieces.text());
    let (known, hosts) = (pieces.text(), pieces.text());
    let defaults = pieces.byte();
    let keys = [known];
    let input = SeedInput {
        instance_id: if defaults & 1 == 0 { "c1-n1" } else { &instance },
        hostname: &name,
        user: if defaults & 2 == 0 { "debian" } else { &user },
        authorized_keys: if defaults & 4 == 0 { &[] } else { &keys },
        host_key: &key,
        address: "10.77.0.5/16".parse().unwrap(),
        mac: Mac([0x52, 0x54, 0, 1, 2, 3]),
        mtu: 1450,
        gateway: None,
        interfaces: &[],
        dns: &[],
        hosts_file: &hosts,
        user_data: &[],
    };
    let Ok(made) = input.files() else { return };
    let json: serde_json::Value =
        serde_json::from_str(made.user_data.strip_prefix("#cloud-config\n").unwrap()).unwrap();
    assert_eq!(json["users"][0]["name"], input.user);
    for (at, key) in input.authorized_keys.iter().enumerate() {
        assert_eq!(json["users"][0]["ssh_authorized_keys"][at], *key);
    }
    assert_eq!(
        made.meta_data,
        format!("instance-id: \"{}\"\nlocal-hostname: \"n1\"\n", input.instance_id)
    );
    let mut archive = tar::Archive::new(made.files_tar.as_slice());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        found.push(content);
    }
    assert_eq!(found[0], hosts.as_bytes());
    let system =
        fatfs::FileSystem::new(Cursor::new(volume(&made).unwrap()), fatfs::FsOptions::new()).unwrap();
    let mut content = String::new();
    let root = system.root_dir();
    root.open_file("user-data")
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!(content, made.user_data);
}

/// A shell reads a quoted word as one word, unchanged.
fn words(pieces: &mut Pieces<'_>) {
    let word = pieces.rest();
    let quoted = crate::base::shell::quote(&word);
    let (mut out, mut inside, mut rest) = (String::new(), false, quoted.chars());
    while let Some(character) = rest.next() {
        match character {
            '\'' => inside = !inside,
            _ if inside => out.push(character),
            '\\' => out.push(rest.next().unwrap()),
            plain => {
                assert!(
                    plain.is_ascii_alphanumeric() || "_-./:=@%+,".contains(plain),
                    "{quoted}"
                );
                out.push(plain);
            }
        }
    }
    assert!(!inside);
    assert_eq!(out, word);
    // Nothing of it reaches a terminal raw, and the JSON value stays the same.
    let shown = crate::base::text::sanitize(&word);
    super::node::assert_harmless(&shown);
    let json = serde_json::to_string(&word).unwrap();
    let safe = crate::report::json::harmless(json);
    super::node::assert_harmless(&safe);
    assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), word);
}

/// A path in an ssh config is one value, or is refused.
fn lines(pieces: &mut Pieces<'_>) {
    let path = pieces.rest();
    if let Ok(word) = crate::export::config_path(std::path::Path::new(&path)) {
        assert!(word.starts_with('"') && word.ends_with('"') && word.len() >= 2);
        let inner = &word[1..word.len() - 1];
        assert!(!inner.contains(['"', '\n', '\r', '\0']), "{word:?}");
        assert_eq!(inner.replace("%%", "%"), path);
    }
}
