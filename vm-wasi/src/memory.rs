//! The guest's memory as the calls see it: every access is checked.

use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::ops::Range;

use vm_engine::SharedMemory;

use crate::errno::Errno;
use crate::until::Until;

/// The most that one call of the host reads into several elements of a list.
const SCATTERED: usize = 1 << 16;
/// The most of a shared memory that is copied at once.
const COPIED: usize = 1 << 16;
/// The most elements of a list that one call of the host writes.
const GATHERED: usize = 16;

/// A view of the guest's linear memory for the time of one call.
///
/// Every pointer of the guest is a number until one of these methods has
/// compared it with the length; outside is [`Errno::Fault`], as `EFAULT` of
/// POSIX.
///
/// Of a memory that threads share, copies are made in place of what else is
/// lent to the host.
pub(crate) struct GuestMemory<'a> {
    bytes: Bytes<'a>,
    /// How long its guest may wait.
    until: Until,
}

enum Bytes<'a> {
    Lent(&'a mut [u8]),
    Shared(&'a SharedMemory),
}

/// A scatter/gather list of the guest's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IoVecs {
    pub(crate) ptr: u32,
    pub(crate) count: u32,
}

/// One element of a scatter/gather list, already checked to lie inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IoVec(Range<usize>);

impl<'a> GuestMemory<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> GuestMemory<'a> {
        GuestMemory {
            bytes: Bytes::Lent(bytes),
            until: Until::default(),
        }
    }

    /// The same of a memory that threads share.
    pub(crate) fn shared(memory: &'a SharedMemory) -> GuestMemory<'a> {
        GuestMemory {
            bytes: Bytes::Shared(memory),
            until: Until::default(),
        }
    }

    fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Lent(bytes) => bytes.len(),
            Bytes::Shared(memory) => memory.data_size(),
        }
    }

    /// The same of a guest that waits so long.
    pub(crate) fn wait_until(self, until: Until) -> GuestMemory<'a> {
        GuestMemory { until, ..self }
    }

    /// From now on the guest may not wait at all: others need what it has.
    pub(crate) fn wait_not_at_all(&mut self) {
        self.until = self.until.clone().now();
    }

    /// How long the guest may wait.
    pub(crate) fn until(&self) -> Until {
        self.until.clone()
    }

    /// The host's range of `len` bytes at `ptr`, if all of it lies inside. A
    /// range of no bytes lies inside anywhere up to the end.
    fn range(&self, ptr: u32, len: u32) -> Result<Range<usize>, Errno> {
        let start = usize::try_from(ptr).map_err(|_| Errno::Fault)?;
        let len = usize::try_from(len).map_err(|_| Errno::Fault)?;
        let end = start.checked_add(len).ok_or(Errno::Fault)?;
        if end <= self.len() {
            Ok(start..end)
        } else {
            Err(Errno::Fault)
        }
    }

    /// Checks a range without touching it: for results that are written only
    /// after the call has had its effect.
    pub(crate) fn check(&self, ptr: u32, len: u32) -> Result<(), Errno> {
        self.range(ptr, len).map(drop)
    }

    pub(crate) fn slice(&self, ptr: u32, len: u32) -> Result<Cow<'_, [u8]>, Errno> {
        let range = self.range(ptr, len)?;
        match &self.bytes {
            Bytes::Lent(bytes) => Ok(Cow::Borrowed(&bytes[range])),
            Bytes::Shared(memory) => {
                let mut copy = zeroes(range.len())?;
                memory
                    .read(range.start, &mut copy)
                    .map_err(|_| Errno::Fault)?;
                Ok(Cow::Owned(copy))
            }
        }
    }

    /// Has all of some bytes written by someone, piece by piece.
    pub(crate) fn fill(
        &mut self,
        ptr: u32,
        len: u32,
        mut fill: impl FnMut(&mut [u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let range = self.range(ptr, len)?;
        match &mut self.bytes {
            Bytes::Lent(bytes) => fill(&mut bytes[range]),
            Bytes::Shared(memory) => {
                let mut copy = zeroes(range.len().min(COPIED))?;
                for at in range.clone().step_by(COPIED) {
                    let piece = &mut copy[..COPIED.min(range.end - at)];
                    fill(piece)?;
                    memory.write(at, piece).map_err(|_| Errno::Fault)?;
                }
                Ok(())
            }
        }
    }

    pub(crate) fn read_array<const N: usize>(&self, ptr: u32) -> Result<[u8; N], Errno> {
        let len = u32::try_from(N).map_err(|_| Errno::Fault)?;
        let range = self.range(ptr, len)?;
        let mut array = [0; N];
        match &self.bytes {
            Bytes::Lent(bytes) => array.copy_from_slice(&bytes[range]),
            Bytes::Shared(memory) => memory
                .read(range.start, &mut array)
                .map_err(|_| Errno::Fault)?,
        }
        Ok(array)
    }

    #[cfg(test)]
    pub(crate) fn read_u32(&self, ptr: u32) -> Result<u32, Errno> {
        self.read_array(ptr).map(u32::from_le_bytes)
    }

    pub(crate) fn write(&mut self, ptr: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        let range = self.range(ptr, len)?;
        match &mut self.bytes {
            Bytes::Lent(lent) => {
                lent[range].copy_from_slice(bytes);
                Ok(())
            }
            Bytes::Shared(memory) => {
                let written = memory.write(range.start, bytes);
                written.map_err(|_| Errno::Fault)
            }
        }
    }

    pub(crate) fn write_u32(&mut self, ptr: u32, value: u32) -> Result<(), Errno> {
        self.write(ptr, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, ptr: u32, value: u64) -> Result<(), Errno> {
        self.write(ptr, &value.to_le_bytes())
    }

    /// A path or a name. The bytes must be UTF-8 (`EILSEQ`) without a NUL
    /// (`EINVAL`), which no host accepts.
    pub(crate) fn string(&self, ptr: u32, len: u32) -> Result<Cow<'_, str>, Errno> {
        let text = match self.slice(ptr, len)? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        let text = text.ok_or(Errno::Ilseq)?;
        if text.contains('\0') {
            return Err(Errno::Inval);
        }
        Ok(text)
    }

    /// Checks a whole scatter/gather list: the list itself and each of its
    /// elements lie inside, and the lengths sum to what a result can hold
    /// (`EINVAL` otherwise, as for `readv` of POSIX).
    ///
    /// Nothing is allocated, however long the list is.
    pub(crate) fn check_io_vecs(&self, vecs: IoVecs) -> Result<(), Errno> {
        let mut total = 0u32;
        for index in 0..vecs.count {
            let vec = self.io_vec(vecs, index)?;
            let len = u32::try_from(vec.0.len()).map_err(|_| Errno::Inval)?;
            total = total.checked_add(len).ok_or(Errno::Inval)?;
        }
        Ok(())
    }

    /// One element of a scatter/gather list, in bounds when `Ok`.
    pub(crate) fn io_vec(&self, vecs: IoVecs, index: u32) -> Result<IoVec, Errno> {
        let at = index
            .checked_mul(8)
            .and_then(|offset| vecs.ptr.checked_add(offset))
            .ok_or(Errno::Fault)?;
        let [a, b, c, d, e, f, g, h] = self.read_array(at)?;
        let buffer = u32::from_le_bytes([a, b, c, d]);
        let len = u32::from_le_bytes([e, f, g, h]);
        self.range(buffer, len).map(IoVec)
    }

    /// The bytes of one element; of a shared memory, at most its first 64 KiB.
    pub(crate) fn io_slice(&self, vec: &IoVec) -> io::Result<Cow<'_, [u8]>> {
        match &self.bytes {
            Bytes::Lent(bytes) => Ok(Cow::Borrowed(&bytes[vec.0.clone()])),
            Bytes::Shared(memory) => {
                let mut copy = vec![0; vec.0.len().min(COPIED)];
                let read = memory.read(vec.0.start, &mut copy);
                read.map_err(|_| io::ErrorKind::InvalidInput)?;
                Ok(Cow::Owned(copy))
            }
        }
    }

    /// Reads once into an element; of a shared memory, at most 64 KiB.
    pub(crate) fn read_into(
        &mut self,
        vec: &IoVec,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::Lent(bytes) => read(&mut bytes[vec.0.clone()]),
            Bytes::Shared(memory) => {
                let mut copy = vec![0; vec.0.len().min(COPIED)];
                let len = read(&mut copy)?.min(copy.len());
                let written = memory.write(vec.0.start, &copy[..len]);
                written.map_err(|_| io::ErrorKind::InvalidInput)?;
                Ok(len)
            }
        }
    }
}

impl IoVec {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Bytes for a copy, if the host has so many.
fn zeroes(len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Errno::NoMem)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

impl GuestMemory<'_> {
    /// Reads once, into as many elements as that fills: what `readv` does. If several elements have room, what is
    /// read takes its way over a buffer, for they may overlap; then it is at most 64 KiB.
    pub(crate) fn scatter(
        &mut self,
        vecs: IoVecs,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Result<u32, Errno> {
        let mut parts: Vec<IoVec> = Vec::new();
        let mut total = 0;
        for index in 0..vecs.count {
            let vec = self.io_vec(vecs, index)?;
            if vec.0.is_empty() {
                continue;
            }
            if total >= SCATTERED {
                break;
            }
            total += vec.0.len();
            parts.push(vec);
        }
        let len = match &parts[..] {
            [] => 0,
            [one] => {
                let len = one.len();
                self.read_into(one, read)?.min(len)
            }
            several => {
                let mut buffer = vec![0; total.min(SCATTERED)];
                let len = read(&mut buffer)?.min(buffer.len());
                let mut rest = &buffer[..len];
                for part in several {
                    let (now, later) = rest.split_at(rest.len().min(part.len()));
                    let at = u32::try_from(part.0.start).map_err(|_| Errno::Fault)?;
                    self.write(at, now)?;
                    rest = later;
                }
                len
            }
        };
        u32::try_from(len).map_err(|_| Errno::Overflow)
    }

    /// Writes all elements in order, several at once as `writev` does, until one write comes up short. An error after
    /// some bytes went out is left for the next call to meet.
    pub(crate) fn gather(
        &self,
        vecs: IoVecs,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<u32, Errno> {
        let mut done = 0u32;
        let mut index = 0;
        while index < vecs.count {
            let mut slices: [Cow<'_, [u8]>; GATHERED] =
                std::array::from_fn(|_| Cow::Borrowed(&[][..]));
            let mut used = 0;
            // What the guest wants to be written, and what is at hand of it.
            let mut wanted = 0;
            let mut offered = 0;
            while index < vecs.count && used < GATHERED && offered == wanted {
                let vec = self.io_vec(vecs, index)?;
                index += 1;
                if vec.len() > 0 {
                    wanted += vec.len();
                    slices[used] = self.io_slice(&vec)?;
                    offered += slices[used].len();
                    used += 1;
                }
            }
            let mut parts: [IoSlice<'_>; GATHERED] = std::array::from_fn(|_| IoSlice::new(&[]));
            for (part, slice) in parts.iter_mut().zip(&slices[..used]) {
                *part = IoSlice::new(slice);
            }
            if used == 0 {
                break;
            }
            let len = match write(&parts[..used]) {
                Ok(len) => len.min(offered),
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.into()),
            };
            done = u32::try_from(len)
                .ok()
                .and_then(|len| done.checked_add(len))
                .ok_or(Errno::Overflow)?;
            if len < wanted {
                break;
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_access_succeeds_exactly_when_all_of_it_lies_inside(
            size in 0usize..70_000,
            ptr in prop_oneof![any::<u32>(), 0u32..80_000],
            len in prop_oneof![any::<u32>(), 0u32..80_000],
        ) {
            let mut bytes = vec![0; size];
            let memory = GuestMemory::new(&mut bytes);
            let inside = u64::from(ptr) + u64::from(len) <= size as u64;
            prop_assert_eq!(memory.slice(ptr, len).is_ok(), inside);
            prop_assert_eq!(memory.check(ptr, len).is_ok(), inside);
            if let Ok(slice) = memory.slice(ptr, len) {
                prop_assert_eq!(slice.len() as u64, u64::from(len));
            }
        }

        #[test]
        fn any_scatter_list_is_refused_or_in_bounds(
            words in proptest::collection::vec(prop_oneof![any::<u32>(), 0u32..64], 16),
            ptr in prop_oneof![any::<u32>(), 0u32..80],
            count in prop_oneof![any::<u32>(), 0u32..10],
        ) {
            let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let size = bytes.len();
            let memory = GuestMemory::new(&mut bytes);
            let vecs = IoVecs { ptr, count };
            if memory.check_io_vecs(vecs).is_ok() {
                prop_assert!(count == 0 || ptr as usize + count as usize * 8 <= size);
                for index in 0..count {
                    prop_assert!(memory.io_vec(vecs, index).is_ok());
                }
            }
        }

        /// A model: the elements one after the other are one stretch of bytes.
        #[test]
        fn elements_are_filled_and_written_in_order(
            lens in proptest::collection::vec(0usize..40, 0..40),
            available in 0usize..900,
        ) {
            let total: usize = lens.iter().sum();
            let mut bytes = vec![0; 8 * lens.len() + total];
            let mut at = 8 * lens.len();
            for (index, len) in lens.iter().enumerate() {
                bytes[index * 8..index * 8 + 4].copy_from_slice(&(at as u32).to_le_bytes());
                bytes[index * 8 + 4..index * 8 + 8].copy_from_slice(&(*len as u32).to_le_bytes());
                at += len;
            }
            let vecs = IoVecs { ptr: 0, count: lens.len() as u32 };
            let mut memory = GuestMemory::new(&mut bytes);
            let source: Vec<u8> = (0..total).map(|at| at as u8 ^ 0x5a).collect();
            let read = memory.scatter(vecs, |buffer| {
                assert_eq!(buffer.len(), total, "as much as was asked for");
                let len = available.min(buffer.len());
                buffer[..len].copy_from_slice(&source[..len]);
                Ok(len)
            });
            let len = available.min(total);
            prop_assert_eq!(read, Ok(len as u32));
            prop_assert_eq!(&bytes[8 * lens.len()..][..len], &source[..len]);
            prop_assert!(bytes[8 * lens.len() + len..].iter().all(|byte| *byte == 0));

            let memory = GuestMemory::new(&mut bytes);
            let mut sink = Vec::new();
            let written = memory.gather(vecs, |parts| {
                let mut taken = 0;
                for part in parts {
                    assert!(!part.is_empty());
                    let len = part.len().min(available - sink.len());
                    sink.extend_from_slice(&part[..len]);
                    taken += len;
                }
                Ok(taken)
            });
            prop_assert_eq!(written, Ok(len as u32));
            prop_assert_eq!(&sink[..], &source[..len]);
        }
    }

    #[test]
    fn an_error_after_some_bytes_is_left_for_the_next_call() {
        let mut bytes = vec![0u8; 8 * 20 + 1];
        for index in 0..20 {
            bytes[index * 8] = 160;
            bytes[index * 8 + 4] = 1;
        }
        let memory = GuestMemory::new(&mut bytes);
        let vecs = IoVecs { ptr: 0, count: 20 };
        let fail = |_: &[IoSlice<'_>]| Err(io::ErrorKind::WouldBlock.into());
        assert_eq!(memory.gather(vecs, fail), Err(Errno::Again));
        let mut calls = 0;
        let once = |parts: &[IoSlice<'_>]| {
            calls += 1;
            if calls == 1 {
                Ok(parts.len())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        };
        assert_eq!(memory.gather(vecs, once), Ok(16));
    }

    #[test]
    fn a_list_longer_than_memory_is_a_fault() {
        let mut bytes = vec![0; 65536];
        let memory = GuestMemory::new(&mut bytes);
        let check = |ptr, count| memory.check_io_vecs(IoVecs { ptr, count });
        assert_eq!(check(0, u32::MAX), Err(Errno::Fault));
        assert_eq!(check(u32::MAX, 1), Err(Errno::Fault));
        assert_eq!(check(0, 8192), Ok(()));
        assert_eq!(check(0, 8193), Err(Errno::Fault));
    }

    #[test]
    fn lengths_that_no_result_can_hold_are_invalid() {
        // Two elements of the whole memory would need 2 × 2 GiB; a smaller
        // memory with many elements reaches the same sum.
        let mut bytes = vec![0u8; 1 << 20];
        let elements = 8192u32;
        for index in 0..elements as usize {
            bytes[index * 8 + 4..index * 8 + 8].copy_from_slice(&(1u32 << 20).to_le_bytes());
        }
        let memory = GuestMemory::new(&mut bytes);
        let vecs = IoVecs {
            ptr: 0,
            count: elements,
        };
        assert_eq!(memory.check_io_vecs(vecs), Err(Errno::Inval));
    }

    #[test]
    fn text_is_utf_8_without_nul() {
        let mut bytes = *b"ab\0\xff";
        let memory = GuestMemory::new(&mut bytes);
        assert_eq!(memory.string(0, 2).as_deref(), Ok("ab"));
        assert_eq!(memory.string(0, 3), Err(Errno::Inval));
        assert_eq!(memory.string(2, 2), Err(Errno::Ilseq));
        assert_eq!(memory.string(2, 3), Err(Errno::Fault));
    }
}
