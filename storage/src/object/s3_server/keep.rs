//! What the stand-in keeps, and the rules of the store it stands in for.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

/// The least size of a part that is not the last.
const PART_BYTES_MIN: usize = 5 << 20;

pub(super) struct Keep {
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) page_keys: usize,
    drawn: u64,
}

#[derive(Clone)]
pub(super) struct Object {
    pub(super) content: Bytes,
    pub(super) etag: String,
    pub(super) modified: Timestamp,
}

#[derive(Default)]
pub(super) struct Upload {
    key: String,
    parts: BTreeMap<u32, Bytes>,
}

/// A page of a listing.
#[derive(Default)]
pub(super) struct Page {
    pub(super) objects: Vec<(String, Object)>,
    pub(super) prefixes: Vec<String>,
    pub(super) continues_after: Option<String>,
}

impl Default for Keep {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), uploads: BTreeMap::new(), page_keys: 1000, drawn: 0 }
    }
}

impl Keep {
    /// A number that was not given before.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    /// None when the key is taken and must not be.
    pub(super) fn put(&mut self, key: &str, content: Bytes, only_new: bool) -> Option<String> {
        if only_new && self.objects.contains_key(key) {
            return None;
        }
        let etag = format!("\"{}\"", self.draw());
        let object = Object { content, etag: etag.clone(), modified: Timestamp::now() };
        self.objects.insert(key.to_owned(), object);
        Some(etag)
    }

    pub(super) fn begin(&mut self, key: &str) -> String {
        let id = format!("upload-{}", self.draw());
        self.uploads.insert(id.clone(), Upload { key: key.to_owned(), parts: BTreeMap::new() });
        id
    }

    /// None when there is no such upload.
    pub(super) fn part(&mut self, id: &str, number: u32, content: Bytes) -> Option<String> {
        let etag = format!("\"part-{}\"", self.draw());
        self.uploads.get_mut(id)?.parts.insert(number, content);
        Some(etag)
    }

    /// Makes the parts one object, or says by which code that is refused.
    pub(super) fn complete(&mut self, id: &str) -> Result<String, &'static str> {
        let upload = self.uploads.remove(id).ok_or("NoSuchUpload")?;
        let sizes: Vec<_> = upload.parts.values().map(Bytes::len).collect();
        let (_, all_but_last) = sizes.split_last().ok_or("InvalidPart")?;
        if all_but_last.iter().any(|bytes| *bytes < PART_BYTES_MIN) {
            return Err("EntityTooSmall");
        }
        let content: Vec<u8> = upload.parts.values().flat_map(|part| part.iter().copied()).collect();
        self.put(&upload.key, content.into(), false).ok_or("InternalError")
    }

    pub(super) fn list(&self, prefix: &str, after: &str, delimiter: Option<&str>) -> Page {
        let mut page = Page::default();
        for (key, object) in self.objects.range(after.to_owned()..) {
            let Some(rest) = key.strip_prefix(prefix).filter(|_| key.as_str() > after) else { continue };
            if page.objects.len() + page.prefixes.len() == self.page_keys {
                let last = page.objects.last().map(|(key, _)| key.clone());
                page.continues_after =
                    last.max(page.prefixes.last().map(|prefix| format!("{prefix}\u{10ffff}")));
                break;
            }
            match delimiter.and_then(|delimiter| rest.split_once(delimiter)) {
                Some((name, _)) => {
                    let common = format!("{prefix}{name}{}", delimiter.unwrap_or_default());
                    if page.prefixes.last() != Some(&common) {
                        page.prefixes.push(common);
                    }
                }
                None => page.objects.push((key.clone(), object.clone())),
            }
        }
        page
    }
}
