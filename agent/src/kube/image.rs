//! The parts of an image's name.
//!
//! Source of the format: the reference grammar of the OCI distribution,
//! `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.

/// An image as a container's specification names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image<'a> {
    pub(super) name: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
}

impl<'a> Image<'a> {
    /// Takes a reference apart.
    pub(super) fn parse(reference: &'a str) -> Self {
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (reference, None),
        };
        // A colon before a slash is that of a port.
        match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((name, tag)) => Self { name, tag: Some(tag), digest },
            None => Self { name: rest, tag: None, digest },
        }
    }

    /// The version of what runs, as OpenTelemetry's conventions have it.
    pub(super) fn version(&self) -> Option<String> {
        match (self.tag, self.digest) {
            (Some(tag), Some(digest)) => Some(format!("{tag}@{digest}")),
            (tag, digest) => digest.or(tag).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        let check = |text: &str, name: &str, tag: Option<&str>, version: Option<&str>| {
            let image = Image::parse(text);
            assert_eq!((image.name, image.tag, image.version().as_deref()), (name, tag, version), "{text}");
        };
        check("nginx", "nginx", None, None);
        check("nginx:1.27", "nginx", Some("1.27"), Some("1.27"));
        check("reg:5000/shop/cart", "reg:5000/shop/cart", None, None);
        check("reg:5000/shop/cart:v2", "reg:5000/shop/cart", Some("v2"), Some("v2"));
        check("cart@sha256:ab", "cart", None, Some("sha256:ab"));
        check("cart:v2@sha256:ab", "cart", Some("v2"), Some("v2@sha256:ab"));
    }
}
