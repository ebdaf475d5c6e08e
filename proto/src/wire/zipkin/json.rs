//! A list of spans as it is sent, a span at a time. Unknown fields are skipped,
//! null is absent; a value of another type is refused and said where it stands.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// How Zipkin tells a client that it posts version 1 to version 2.
pub(super) const IS_VERSION_1: &str = "Expected a JSON_V2 encoded list, but received: JSON_V1";

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span<'a> {
    #[serde(borrow)]
    pub(super) trace_id: Option<Text<'a>>,
    pub(super) parent_id: Option<Text<'a>>,
    pub(super) id: Option<Text<'a>>,
    pub(super) kind: Option<Text<'a>>,
    pub(super) name: Option<Text<'a>>,
    pub(super) timestamp: Option<Integer>,
    pub(super) duration: Option<Integer>,
    pub(super) local_endpoint: Option<Endpoint<'a>>,
    pub(super) remote_endpoint: Option<Endpoint<'a>>,
    pub(super) annotations: Option<Vec<Annotation<'a>>>,
    pub(super) tags: Option<Tags<'a>>,
    pub(super) debug: Option<bool>,
    pub(super) shared: Option<bool>,
    /// Only version 1 has it.
    pub(super) binary_annotations: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint<'a> {
    #[serde(borrow)]
    pub(super) service_name: Option<Text<'a>>,
    pub(super) ipv4: Option<Text<'a>>,
    pub(super) ipv6: Option<Text<'a>>,
    pub(super) port: Option<Integer>,
}

#[derive(serde::Deserialize)]
pub(super) struct Annotation<'a> {
    pub(super) timestamp: Option<Integer>,
    #[serde(borrow)]
    pub(super) value: Option<Text<'a>>,
    /// Only version 1 has it.
    pub(super) endpoint: Option<IgnoredAny>,
}

/// Calls `take` with every span of the list; its refusal ends the reading.
pub(super) fn each_span(json: &[u8], take: impl FnMut(Span<'_>) -> Result<(), String>) -> Result<(), String> {
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return Err("Expected a JSON_V2 encoded list".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut list = List { take, refusal: None };
    let read = reader.deserialize_seq(&mut list).and_then(|()| reader.end());
    match (list.refusal, read) {
        (Some(reason), _) => Err(reason),
        (None, Err(error)) => Err(format!("Expected a JSON_V2 encoded list: {error}")),
        (None, Ok(())) => Ok(()),
    }
}

struct List<F> {
    take: F,
    refusal: Option<String>,
}

impl<'de, F: FnMut(Span<'_>) -> Result<(), String>> Visitor<'de> for &mut List<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of spans")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut spans: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(span) = spans.next_element::<Span<'de>>()? {
            if let Err(reason) = (self.take)(span) {
                let is_version_1 = reason == IS_VERSION_1;
                self.refusal = Some(if is_version_1 { reason } else { format!("span {index}: {reason}") });
                return Err(de::Error::custom("refused"));
            }
            index += 1;
        }
        Ok(())
    }
}

/// A string, borrowed where it has no escapes.
pub(super) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// Another text, if there is one, instead.
    pub(super) fn replace(&mut self, other: Option<String>) {
        if let Some(other) = other {
            self.0 = Cow::Owned(other);
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// A whole number, never spelled as a string or with a fraction.
#[derive(Clone, Copy)]
pub(super) struct Integer(pub(super) i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Integer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer (times are microseconds)")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Integer, E> {
                Ok(Integer(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Integer, E> {
                i64::try_from(number)
                    .map(Integer)
                    .map_err(|_| E::custom(format!("{number} is not below 2^63")))
            }
        }

        deserializer.deserialize_i64(Reader)
    }
}

/// Keys and values in the order of the text.
pub(super) struct Tags<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Tags<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags<'de>, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = map.next_entry()? {
                    tags.push(tag);
                }
                Ok(Tags(tags))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
