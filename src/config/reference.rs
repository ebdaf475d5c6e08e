//! The page `docs/configuration.md` is written from the code: keys and defaults
//! are those of the default configuration, what a key is stands in the comment
//! of its field. `cargo xtask reference` writes it, a test holds it to the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use syn::{Attribute, Expr, ExprLit, Fields, Item, Lit, Meta, Type};

use super::Config;

const PAGE: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- Written by `cargo xtask reference` from the code, up to the end mark. -->\n";
const END: &str = "<!-- end -->\n";

/// The structs of the tree that lie in other files: key, file, struct.
const SECTIONS: [(&str, &str, &str); 12] = [
    ("s3", "storage/src/object/bucket.rs", "S3Config"),
    ("log", "src/config.rs", "LogConfig"),
    ("log.retention", "stream/src/disk/config.rs", "Retention"),
    ("log.kafka", "stream/src/kafka/config.rs", "KafkaConfig"),
    ("agent", "agent/src/config.rs", "Config"),
    ("agent.limits", "agent/src/limit/config.rs", "LimitsConfig"),
    ("agent.kubernetes", "agent/src/kube/config.rs", "KubernetesConfig"),
    ("agent.receive", "agent/src/receive/config.rs", "ReceiveConfig"),
    ("agent.redact", "agent/src/redact/config.rs", "RedactConfig"),
    ("ingest", "ingest/src/config.rs", "Config"),
    ("query", "query/src/config.rs", "Config"),
    ("alerting", "alerting/src/config.rs", "Config"),
];

/// What a source file says of its types.
struct Source {
    /// Fields of structs: their comment, and the name of their type.
    structs: BTreeMap<String, BTreeMap<String, (String, String)>>,
    /// Variants of enums, as a file of settings has them.
    enums: BTreeMap<String, Vec<(String, String)>>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn comment(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else { continue };
        let line = line.value();
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line.trim());
    }
    text.replace("  ", " ").trim().trim_end_matches('.').to_owned()
}

/// `#[serde(rename = "...")]`.
fn renamed(attributes: &[Attribute]) -> Option<String> {
    let mut word = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute
            .parse_nested_meta(|meta| {
                if meta.path.is_ident("rename") {
                    word = Some(meta.value()?.parse::<syn::LitStr>()?.value());
                }
                Ok(())
            })
            .expect("serde's attribute");
    }
    word
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

fn read(file: &str) -> Source {
    let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut source = Source { structs: BTreeMap::new(), enums: BTreeMap::new() };
    for item in parsed.items {
        match item {
            Item::Struct(item) => {
                let Fields::Named(fields) = &item.fields else { continue };
                let field = |field: &syn::Field| {
                    let name = field.ident.as_ref()?.to_string();
                    Some((name, (comment(&field.attrs), type_name(&field.ty))))
                };
                source
                    .structs
                    .insert(item.ident.to_string(), fields.named.iter().filter_map(field).collect());
            }
            Item::Enum(item) => {
                let word = |one: &syn::Variant| {
                    let word = renamed(&one.attrs).unwrap_or_else(|| one.ident.to_string().to_lowercase());
                    (word, comment(&one.attrs))
                };
                source.enums.insert(item.ident.to_string(), item.variants.iter().map(word).collect());
            }
            _ => {}
        }
    }
    source
}

/// The comment of the field that a key names, and what it may be if it is one of several words.
fn meaning(path: &[String]) -> String {
    let (mut file, mut name) = ("src/config.rs", "Config".to_owned());
    let mut known = read(file);
    for (depth, part) in path.iter().enumerate() {
        let fields = known.structs.get(&name).unwrap_or_else(|| panic!("{file} has no struct {name}"));
        let (comment, of) = fields.get(part).unwrap_or_else(|| panic!("{file}: {name} has no field {part}"));
        if depth + 1 == path.len() {
            assert!(!comment.is_empty(), "{file}: {name}.{part} has no comment");
            return with_words(comment, known.enums.get(of));
        }
        let prefix = path[..=depth].join(".");
        match SECTIONS.iter().find(|(key, ..)| *key == prefix) {
            Some((_, section, of)) => {
                (file, name) = (section, (*of).to_owned());
                known = read(file);
            }
            None => name.clone_from(of),
        }
    }
    String::new()
}

fn with_words(comment: &str, words: Option<&Vec<(String, String)>>) -> String {
    let Some(words) = words else { return comment.to_owned() };
    let words = words.iter().filter(|(word, _)| !word.is_empty());
    let words = words.map(|(word, about)| format!("`{word}`: {}", lower(about)));
    format!("{comment}. {}", words.collect::<Vec<_>>().join("; "))
}

/// A sentence as a part of another.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The tables, one for each section.
fn tables() -> String {
    let tree = serde_json::to_value(Config::default()).expect("a tree");
    let keys = weir_runtime::config::keys(&tree, "WEIR_").expect("keys");
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    for key in &keys {
        let section = if key.path.len() > 1 { key.path[0].as_str() } else { "" };
        let rows = sections.entry(section).or_default();
        let value = key.value.trim_matches('"');
        let default = if matches!(value, "" | "null" | "[]") { String::new() } else { format!("`{value}` ") };
        let meaning = meaning(&key.path).replace('|', "\\|");
        writeln!(rows, "| `{}` | `{}` | {default}| {meaning} |", key.dotted(), key.variable)
            .expect("written");
    }
    let mut text = String::new();
    for (section, rows) in sections {
        let heading = if section.is_empty() { "Every process".to_owned() } else { format!("`{section}`") };
        let head = "| key | variable | default | is |\n|---|---|---|---|\n";
        write!(text, "\n## {heading}\n\n{head}{rows}").expect("written");
    }
    text.push('\n');
    text
}

#[test]
fn the_reference_is_what_the_code_says() {
    let file = root().join(PAGE);
    let page = fs::read_to_string(&file).expect("the page");
    let (head, rest) = page.split_once(BEGIN).expect("the page has the mark where it begins");
    let (_, tail) = rest.split_once(END).expect("the page has the mark where it ends");
    let written = format!("{head}{BEGIN}{}{END}{tail}", tables());
    if env::var_os("WEIR_WRITE_REFERENCE").is_some() {
        fs::write(&file, &written).expect("written");
    } else {
        assert!(page == written, "{PAGE} is not what the code says: run `cargo xtask reference`");
    }
}
