//! Pieces of an image, brought together so that few writes make it.

/// The most bytes that are written at once: enough for the calls not to count, and few enough to stay in a processor's cache.
const MOST_BYTES: usize = 64 << 10;

/// Has pieces written that are each bytes and where they go, of which later ones count where they overlap. Each page that a piece
/// reaches into is written once and as a whole, together with those that follow it; no other page is, so that whatever lies between
/// pieces that are far apart takes no memory.
///
/// Compilers leave out zeros of more than a few bytes, so that a program may have as many pieces as it has strings.
pub(crate) fn write<E>(
    pieces: &[(usize, &[u8])],
    page_size: usize,
    mut write: impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut parts: Vec<(usize, &(usize, &[u8]))> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let (offset, bytes) = *piece;
        let pages = offset / page_size..(offset + bytes.len()).div_ceil(page_size);
        parts.extend(pages.map(|page| (page, piece)));
    }
    // Stable: of those that reach into one page, the order stays.
    parts.sort_by_key(|(page, _)| *page);
    let mut start = 0;
    let mut window = Vec::with_capacity(MOST_BYTES);
    for parts in parts.chunk_by(|one, other| one.0 == other.0) {
        let from = parts[0].0 * page_size;
        if from != start + window.len() || window.len() >= MOST_BYTES {
            if !window.is_empty() {
                write(start, &window)?;
            }
            window.clear();
            start = from;
        }
        let before = window.len();
        window.resize(before + page_size, 0);
        let page = &mut window[before..];
        for (_, (offset, bytes)) in parts {
            let first = from.max(*offset);
            let end = (from + page_size).min(offset + bytes.len());
            page[first - from..end - from].copy_from_slice(&bytes[first - offset..end - offset]);
        }
    }
    if window.is_empty() {
        return Ok(());
    }
    write(start, &window)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 16;

    proptest! {
        #[test]
        fn pieces_are_written_as_if_one_by_one(
            pieces in prop::collection::vec((0_usize..1000, prop::collection::vec(1_u8.., 1..100)), 0..40),
        ) {
            let pieces: Vec<(usize, &[u8])> =
                pieces.iter().map(|(offset, bytes)| (*offset, &bytes[..])).collect();
            let mut expected = vec![0; 2000];
            let mut reached = vec![false; 2000 / PAGE];
            for (offset, bytes) in &pieces {
                expected[*offset..offset + bytes.len()].copy_from_slice(bytes);
                reached[offset / PAGE..(offset + bytes.len()).div_ceil(PAGE)].fill(true);
            }
            let mut found = vec![0; 2000];
            let mut written = vec![false; 2000 / PAGE];
            let done: Result<(), Infallible> = write(&pieces, PAGE, |offset, bytes| {
                assert!(offset % PAGE == 0 && bytes.len() % PAGE == 0 && !bytes.is_empty());
                let pages = &mut written[offset / PAGE..(offset + bytes.len()) / PAGE];
                assert!(pages.iter().all(|page| !*page), "written once");
                pages.fill(true);
                found[offset..offset + bytes.len()].copy_from_slice(bytes);
                Ok(())
            });
            prop_assert!(done.is_ok());
            prop_assert_eq!(found, expected);
            prop_assert_eq!(written, reached);
        }
    }

    #[test]
    fn adjacent_pages_are_written_together() {
        let pieces = vec![7; 5 * MOST_BYTES / 2];
        let pieces: Vec<(usize, &[u8])> = (pieces.chunks(3).enumerate())
            .map(|(n, bytes)| (4096 + 3 * n, bytes))
            .collect();
        let mut writes = Vec::new();
        let done = write(&pieces, 4096, |offset, bytes| {
            writes.push((offset, bytes.len()));
            Ok::<(), Infallible>(())
        });
        assert!(done.is_ok());
        assert_eq!(
            writes,
            [
                (4096, MOST_BYTES),
                (4096 + MOST_BYTES, MOST_BYTES),
                (4096 + 2 * MOST_BYTES, MOST_BYTES / 2)
            ]
        );
    }

    #[test]
    fn the_first_write_that_fails_is_the_last() {
        let pieces = [(0, &[1][..]), (10_000, &[2]), (20_000, &[3])];
        let mut writes = 0;
        let done = write(&pieces, 4096, |_, _| {
            writes += 1;
            if writes == 2 { Err("refused") } else { Ok(()) }
        });
        assert_eq!((done, writes), (Err("refused"), 2));
    }
}
