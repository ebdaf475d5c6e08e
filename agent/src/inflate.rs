//! What a `.gz` holds: its uncompressed bytes, as a kept copy.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::MultiGzDecoder;

use crate::identity::FINGERPRINT_BYTES;
use crate::keep::Draft;

/// What is decompressed at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// How a decompression ended.
#[derive(Debug)]
pub(crate) enum Inflated {
    /// All of it, and its checksum fits.
    Whole,
    /// It is damaged, or not yet all there.
    Unsound(io::Error),
    /// There is more than may be kept.
    TooLong,
}

/// Decompresses into `draft`, which may take `room` bytes.
///
/// # Errors
/// The copy cannot be written, or the file cannot be read.
pub(crate) fn inflate(archive: &File, draft: &mut Draft, room: u64) -> io::Result<Inflated> {
    let mut decoder = decoder(archive)?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match decoder.read(&mut block) {
            Ok(0) => return Ok(Inflated::Whole),
            Ok(read) if draft.write(&block[..read])? > room => return Ok(Inflated::TooLong),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_of_the_format(&error) => return Ok(Inflated::Unsound(error)),
            Err(error) => return Err(error),
        }
    }
}

/// The first bytes that it holds: as many as a fingerprint is made of, fewer if
/// there are no more or they cannot be decompressed.
pub(crate) fn beginning(archive: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(FINGERPRINT_BYTES);
    match decoder(archive)?.take(FINGERPRINT_BYTES as u64).read_to_end(&mut head) {
        Err(error) if !is_of_the_format(&error) => Err(error),
        _ => Ok(head),
    }
}

/// The length that it says it has, modulo 2^32: the last four bytes (RFC 1952,
/// ISIZE). Of several members, that of the last; 0 while there is nothing.
pub(crate) fn stated_length(archive: &File) -> io::Result<u32> {
    let mut last = [0; 4];
    let mut archive = archive;
    if archive.metadata()?.len() < last.len() as u64 {
        return Ok(0);
    }
    archive.seek(SeekFrom::End(-4))?;
    archive.read_exact(&mut last)?;
    Ok(u32::from_le_bytes(last))
}

fn decoder(mut archive: &File) -> io::Result<MultiGzDecoder<BufReader<&File>>> {
    archive.rewind()?;
    Ok(MultiGzDecoder::new(BufReader::new(archive)))
}

fn is_of_the_format(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput, io::ErrorKind::UnexpectedEof];
    kinds.contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::checkpoint::FileKey;
    use crate::keep::Keep;

    fn gz(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).expect("compressed");
        encoder.finish().expect("compressed")
    }

    fn check(archive: &[u8], room: u64) -> (Inflated, u64) {
        let place = tempfile::tempdir().expect("a directory");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(archive).expect("written");
        let keep = Keep::open(place.path().join("kept"), u64::MAX).expect("opened");
        let mut draft = keep.draft(FileKey(1), 0).expect("begun");
        let inflated = inflate(&file, &mut draft, room).expect("read");
        (inflated, draft.end())
    }

    #[test]
    fn members_follow_each_other_and_what_is_torn_is_unsound() {
        let content: Vec<u8> =
            (0..300_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let whole = gz(&content);
        let length = content.len() as u64;
        assert!(matches!(check(&whole, u64::MAX), (Inflated::Whole, end) if end == length));
        let two = [whole.clone(), gz(b"more")].concat();
        assert!(matches!(check(&two, u64::MAX), (Inflated::Whole, end) if end == length + 4));
        assert!(matches!(check(&whole, 1000), (Inflated::TooLong, _)));
        for end in [1, 9, 20, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
            assert!(matches!(check(&whole[..end], u64::MAX), (Inflated::Unsound(_), _)), "torn at {end}");
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        assert!(matches!(check(&damaged, u64::MAX), (Inflated::Unsound(_), _)));
        assert!(matches!(check(b"plain text\n", u64::MAX), (Inflated::Unsound(_), 0)));
    }

    #[test]
    fn the_beginning_and_the_length_are_had_without_the_rest() {
        let mut file = tempfile::tempfile().expect("a file");
        let content = b"line\n".repeat(1000);
        file.write_all(&gz(&content)).expect("written");
        assert_eq!(beginning(&file).expect("read"), content[..1024]);
        assert_eq!(stated_length(&file).expect("read"), 5000);
        let mut short = tempfile::tempfile().expect("a file");
        short.write_all(b"x").expect("written");
        assert_eq!(beginning(&short).expect("read"), b"");
        assert_eq!(stated_length(&short).expect("read"), 0);
    }
}
