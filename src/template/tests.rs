//! Tests of the language, its errors and its limits.

use handlebars::Context;
use serde_json::{Value, json};

use super::*;
use crate::base::failure::UserFacing;

fn data() -> Value {
    json!({
        "node": { "name": "web001", "address": "10.77.0.1", "index": 0 },
        "nodes": [
            { "name": "web001", "address": "10.77.0.1" },
            { "name": "web002", "address": "10.77.0.2" },
        ],
        "vars": {
            "port": 6379,
            "text": "it's <b>",
            "list": ["a", "b", "c"],
            "map": { "a": 1, "b": 2 },
            "none": [],
            "empty": null,
            "version": "1.10",
            "hex": "0x10",
            "zero": "0.00",
        },
        "cluster": { "subnet": "10.77.0.0/16" },
    })
}

fn render(text: &str) -> Result<String, TemplateError> {
    Engine::new().render_text(text, "test.hbs", &Context::from(data()))
}

fn rendered(text: &str) -> String {
    render(text).unwrap_or_else(|error| panic!("{text}: {error} ({:?})", error.hint()))
}

fn message(text: &str) -> String {
    match render(text) {
        Ok(output) => panic!("{text} gave {output}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn helpers_give_what_a_configuration_needs() {
    for (text, wanted) in [
        ("{{vars.text}}", "it's <b>"),
        ("{{join vars.list}}", "a,b,c"),
        ("{{join vars.list \" \"}}", "a b c"),
        ("{{join nodes \",\" \"address\"}}", "10.77.0.1,10.77.0.2"),
        ("{{#each (range 3)}}{{this}}{{/each}}", "012"),
        ("{{#each (range 2 8 3)}}{{this}};{{/each}}", "2;5;"),
        ("{{first vars.list}}{{last vars.list}}", "ac"),
        ("{{#with (first nodes)}}{{name}}{{/with}}", "web001"),
        ("{{join (slice vars.list 1)}}", "b,c"),
        ("{{length nodes}} {{len vars.list}}", "2 3"),
        ("{{upper node.name}} {{lower \"ABC\"}}", "WEB001 abc"),
        ("{{pad 7 3}} {{pad \"x\" 3 \".\"}}", "007 ..x"),
        (
            "{{add vars.port 10000}} {{sub 1 3}} {{mul 2 3 4}} {{div 7 2}} {{mod -1 3}}",
            "16379 -2 24 3 2",
        ),
        ("{{min 3 1 2}} {{max 3 1 2}}", "1 3"),
        ("{{ip_add node.address 300}}", "10.77.1.45"),
        ("{{ip_diff \"10.77.1.0\" node.address}}", "255"),
        ("{{ip_host cluster.subnet 5}}", "10.77.0.5"),
        (
            "{{ip_network cluster.subnet}}/{{ip_prefix cluster.subnet}} {{ip_netmask cluster.subnet}}",
            "10.77.0.0/16 255.255.0.0",
        ),
        ("{{json vars.list}}", "[\"a\",\"b\",\"c\"]"),
        ("{{base64 \"hello\"}}", "aGVsbG8="),
        (
            "{{sha256 \"\"}}",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("{{default vars.nothing \"x\"}} {{default vars.port 1}}", "x 6379"),
        ("{{quote vars.text}}", r"'it'\''s <b>'"),
        ("{{#if (eq node.index 0)}}yes{{else}}no{{/if}}", "yes"),
        (
            "{{#if (and vars.port (not (defined vars.nothing)))}}yes{{/if}}",
            "yes",
        ),
        ("{{defined vars.port}} {{defined vars.empty}}", "true false"),
        ("{{#if (default vars.nothing false)}}yes{{else}}no{{/if}}", "no"),
        ("{{#unless vars.zero}}{{vars.zero}}{{/unless}}", "0.00"),
        ("{{#if vars.zero includeZero=true}}yes{{/if}}", "yes"),
        (
            "{{vars.version}} {{eq vars.version 1.1}} {{eq vars.version \"1.1\"}}",
            "1.10 true false",
        ),
        (
            "{{add vars.hex 1}} {{gt vars.hex 15}} {{vars.hex}}",
            "17 true 0x10",
        ),
        (
            "{{#each vars.list as |x i|}}{{i}}{{x}}{{@last}} {{/each}}",
            "0afalse 1bfalse 2ctrue ",
        ),
        ("{{#each vars.map}}{{@key}}{{this}}{{@index}}{{/each}}", "a10b21"),
        ("{{#each vars.map as |v k|}}{{k}}{{v}}{{/each}}", "a1b2"),
        ("{{#each (range 2) as |x|}}{{x}}{{/each}}", "01"),
        (
            "{{#each vars.none}}x{{else}}none{{/each}}{{#each vars.empty}}x{{/each}}",
            "none",
        ),
        (
            "{{#each nodes}}{{#with address}}{{this}}{{@index}} {{/with}}{{/each}}",
            "10.77.0.10 10.77.0.21 ",
        ),
        (
            "{{#with node as |n|}}{{n.name}}{{../vars.port}}{{/with}}",
            "web0016379",
        ),
        ("{{#with vars.empty}}x{{else}}nothing{{/with}}", "nothing"),
        ("{{#if (gt vars.port 1024)}}high{{/if}}", "high"),
        ("{{lookup vars.list 1}} {{contains vars.list \"b\"}}", "b true"),
        (
            "{{concat node.name \"-\" vars.port}} {{replace node.name \"web\" \"db\"}}",
            "web001-6379 db001",
        ),
        ("{{join (split \"a:b\" \":\") \"+\"}}", "a+b"),
        (r"\{{literal}}", "{{literal}}"),
    ] {
        assert_eq!(rendered(text), wanted, "{text}");
    }
}

#[test]
fn an_unknown_variable_is_an_error_with_its_place_and_the_nearest_name() {
    let error = render("port 1\nbind {{node.adress}}\n").unwrap_err();
    assert_eq!(error.to_string(), "test.hbs:2:6: unknown variable `node.adress`");
    assert_eq!(
        error.hint().as_deref(),
        Some("did you mean `address`? (in `node`)")
    );
    for text in [
        "{{upper node.nam}}",
        "{{eq node.nam 1}}",
        "{{#each nods}}{{/each}}",
        "{{#each nods}}{{else}}none{{/each}}",
        "{{ip_add node.x 1}}",
        "{{#if vars.prt}}on{{else}}off{{/if}}",
        "{{#unless vars.prt}}off{{/unless}}",
        "{{#with vars.prt}}{{/with}}",
        "{{#with vars.prt}}{{else}}off{{/with}}",
        "{{#if vars.zero}}a{{else if vars.prt}}b{{/if}}",
        "{{#if (and vars.port vars.prt)}}{{/if}}",
        "{{#if (or vars.prt vars.port)}}{{/if}}",
        "{{#if (not vars.prt)}}{{/if}}",
        "{{#if (eq vars.prt 1)}}{{/if}}",
        "{{lookup vars.prt 1}}",
        "{{lookup vars.list vars.prt}}",
        "{{default vars.nothing vars.prt}}",
        "{{#each nodes}}{{#if adress}}{{/if}}{{/each}}",
        "{{#if vars.port includeZero=vars.prt}}{{/if}}",
        "{{#if vars.port.sub}}{{/if}}",
    ] {
        assert!(
            message(text).contains("unknown variable"),
            "{text}: {}",
            message(text)
        );
    }
}

#[test]
fn parameters_that_make_no_sense_are_errors() {
    for (text, wanted) in [
        ("{{div 1 0}}", "division by 0"),
        ("{{add node.name 1}}", "`web001` is not a whole number"),
        ("{{mul 9223372036854775807 2}}", "too large"),
        ("{{ip_add \"255.255.255.255\" 1}}", "not an IPv4 address"),
        ("{{ip_host cluster.subnet 70000}}", "has no address"),
        ("{{upper}}", "takes 1 parameters"),
        ("{{add 1}}", "takes 2 or more parameters"),
        ("{{first (range 0)}}", "the list is empty"),
        ("{{nosuch node.name}}", "unknown helper `nosuch`"),
        ("{{pad 1 1000000000}}", "width"),
        (
            "{{lookup vars \"prot\"}}",
            "there is no `prot`; did you mean `port`?",
        ),
        (
            "{{#each vars.port}}{{/each}}",
            "`6379` is neither a list nor a mapping",
        ),
        ("{{#if eq vars.port 1}}{{/if}}", "takes 1 parameter, but has 3"),
        ("{{if vars.port}}", "is a block"),
        ("{{join vars.list sep=\"+\"}}", "no named parameter `sep`"),
        (
            "{{#each vars.list sort=true}}{{/each}}",
            "no named parameter `sort`",
        ),
    ] {
        assert!(message(text).contains(wanted), "{text}: {}", message(text));
    }
}

#[test]
fn partials_and_endless_templates_are_refused() {
    assert!(message("{{> other}}").contains("partials"));
    assert!(message("{{#*inline \"a\"}}{{> a}}{{/inline}}{{> a}}").contains("partials"));
    assert!(message("{{#if node}}{{> a}}{{/if}}").contains("partials"));
    assert!(message(&"{{#if node}}".repeat(10_000)).contains("nests deeper"));
    assert!(message(&format!("{{{{{}1", "(add 1 ".repeat(10_000))).contains("nests deeper"));
    assert!(message(&format!("{{{{join {}", "[".repeat(10_000))).contains("nests deeper"));
    assert!(
        message("{{#each (range 1000000)}}{{#each (range 1000000)}}x{{/each}}{{/each}}").contains("values")
    );
    let long = "x".repeat(100_000);
    assert!(message(&format!("{{{{#each (range 1000)}}}}{long}{{{{/each}}}}")).contains("more than 16 MiB"));
}

#[test]
fn broken_templates_are_errors_with_their_line() {
    let error = render("a\n{{#if node}}\nb\n").unwrap_err();
    assert!(error.line.is_some(), "{error}");
    let error = render("a\n{{#if node}}{{/each}}").unwrap_err();
    assert!(error.to_string().contains("is closed by"), "{error}");
}

#[test]
fn environment_and_files_of_the_controller_are_out_of_reach() {
    for text in [
        "{{env \"HOME\"}}",
        "{{env.HOME}}",
        "{{include \"/etc/passwd\"}}",
        "{{log node}}",
        "{{@root.env}}",
    ] {
        assert!(render(text).is_err(), "{text}");
    }
}

#[test]
fn a_template_without_braces_is_used_as_it_is() {
    assert_eq!(rendered("a } b { c\n"), "a } b { c\n");
}

#[test]
fn a_section_of_mustache_gets_the_block_that_is_meant() {
    for (text, wanted) in [
        (
            "{{#vars.tls}}on{{/vars.tls}}",
            "write `{{#if vars.tls}}` and `{{/if}}`",
        ),
        ("a\n{{^vars.tls}}off{{/vars.tls}}", "write `{{#unless vars.tls}}`"),
        ("{{#if vars.port}", "every `{{` needs a `}}`"),
    ] {
        let hint = render(text).unwrap_err().hint().unwrap();
        assert!(hint.contains(wanted), "{text}: {hint}");
    }
}

#[test]
fn a_mapping_is_not_written_as_a_text() {
    let context = Context::from(data());
    let found = |text: &str| {
        let template = Engine::new().compile(text, "t").unwrap();
        let found = template.unknown_names(text, &context);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        found("{{vars.map}}"),
        ["t:1:1: `vars.map` is a mapping, not a text"]
    );
    assert_eq!(found("{{#each nodes}}{{this}}{{/each}}").len(), 1);
    let good =
        "{{json vars.map}}{{vars.map.a}}{{vars.list}}{{#each vars.map}}{{this}}{{/each}}{{length vars.map}}";
    assert_eq!(found(good), [""; 0]);
}
