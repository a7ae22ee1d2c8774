//! The guest's memory as the calls see it: every access is checked.

use std::ops::Range;

use crate::errno::Errno;

/// A view of the guest's linear memory for the time of one call.
///
/// Every pointer of the guest is a number until one of these methods has
/// compared it with the length; outside is [`Errno::Fault`], as `EFAULT` of
/// POSIX.
pub(crate) struct GuestMemory<'a> {
    bytes: &'a mut [u8],
}

/// One element of a scatter/gather list, already checked to lie inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IoVec(Range<usize>);

impl<'a> GuestMemory<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> GuestMemory<'a> {
        GuestMemory { bytes }
    }

    /// The host's range of `len` bytes at `ptr`, if all of it lies inside. A
    /// range of no bytes lies inside anywhere up to the end.
    fn range(&self, ptr: u32, len: u32) -> Result<Range<usize>, Errno> {
        let start = usize::try_from(ptr).map_err(|_| Errno::Fault)?;
        let len = usize::try_from(len).map_err(|_| Errno::Fault)?;
        let end = start.checked_add(len).ok_or(Errno::Fault)?;
        if end <= self.bytes.len() {
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

    pub(crate) fn slice(&self, ptr: u32, len: u32) -> Result<&[u8], Errno> {
        let range = self.range(ptr, len)?;
        Ok(&self.bytes[range])
    }

    pub(crate) fn slice_mut(&mut self, ptr: u32, len: u32) -> Result<&mut [u8], Errno> {
        let range = self.range(ptr, len)?;
        Ok(&mut self.bytes[range])
    }

    pub(crate) fn read_array<const N: usize>(&self, ptr: u32) -> Result<[u8; N], Errno> {
        let len = u32::try_from(N).map_err(|_| Errno::Fault)?;
        self.slice(ptr, len)?.try_into().map_err(|_| Errno::Fault)
    }

    #[cfg(test)]
    pub(crate) fn read_u32(&self, ptr: u32) -> Result<u32, Errno> {
        self.read_array(ptr).map(u32::from_le_bytes)
    }

    pub(crate) fn write(&mut self, ptr: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice_mut(ptr, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn write_u32(&mut self, ptr: u32, value: u32) -> Result<(), Errno> {
        self.write(ptr, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, ptr: u32, value: u64) -> Result<(), Errno> {
        self.write(ptr, &value.to_le_bytes())
    }

    /// A path or a name. The bytes must be UTF-8 (`EILSEQ`) without a NUL
    /// (`EINVAL`), which no host accepts.
    pub(crate) fn string(&self, ptr: u32, len: u32) -> Result<&str, Errno> {
        let text = std::str::from_utf8(self.slice(ptr, len)?).map_err(|_| Errno::Ilseq)?;
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
    pub(crate) fn check_io_vecs(&self, ptr: u32, count: u32) -> Result<(), Errno> {
        let mut total = 0u32;
        for index in 0..count {
            let vec = self.io_vec(ptr, index)?;
            let len = u32::try_from(vec.0.len()).map_err(|_| Errno::Inval)?;
            total = total.checked_add(len).ok_or(Errno::Inval)?;
        }
        Ok(())
    }

    /// One element of a scatter/gather list, in bounds when `Ok`.
    pub(crate) fn io_vec(&self, ptr: u32, index: u32) -> Result<IoVec, Errno> {
        let at = index
            .checked_mul(8)
            .and_then(|offset| ptr.checked_add(offset))
            .ok_or(Errno::Fault)?;
        let [a, b, c, d, e, f, g, h] = self.read_array(at)?;
        let buffer = u32::from_le_bytes([a, b, c, d]);
        let len = u32::from_le_bytes([e, f, g, h]);
        self.range(buffer, len).map(IoVec)
    }

    /// The bytes of one element. Empty if the memory no longer holds it.
    pub(crate) fn io_slice(&self, vec: &IoVec) -> &[u8] {
        self.bytes.get(vec.0.clone()).unwrap_or_default()
    }

    /// The bytes of one element, to be written. Empty if the memory no longer
    /// holds it.
    pub(crate) fn io_slice_mut(&mut self, vec: &IoVec) -> &mut [u8] {
        self.bytes.get_mut(vec.0.clone()).unwrap_or_default()
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
            if memory.check_io_vecs(ptr, count).is_ok() {
                prop_assert!(count == 0 || ptr as usize + count as usize * 8 <= size);
                for index in 0..count {
                    prop_assert!(memory.io_vec(ptr, index).is_ok());
                }
            }
        }
    }

    #[test]
    fn a_list_longer_than_memory_is_a_fault() {
        let mut bytes = vec![0; 65536];
        let memory = GuestMemory::new(&mut bytes);
        assert_eq!(memory.check_io_vecs(0, u32::MAX), Err(Errno::Fault));
        assert_eq!(memory.check_io_vecs(u32::MAX, 1), Err(Errno::Fault));
        assert_eq!(memory.check_io_vecs(0, 8192), Ok(()));
        assert_eq!(memory.check_io_vecs(0, 8193), Err(Errno::Fault));
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
        assert_eq!(memory.check_io_vecs(0, elements), Err(Errno::Inval));
    }

    #[test]
    fn text_is_utf_8_without_nul() {
        let mut bytes = *b"ab\0\xff";
        let memory = GuestMemory::new(&mut bytes);
        assert_eq!(memory.string(0, 2), Ok("ab"));
        assert_eq!(memory.string(0, 3), Err(Errno::Inval));
        assert_eq!(memory.string(2, 2), Err(Errno::Ilseq));
        assert_eq!(memory.string(2, 3), Err(Errno::Fault));
    }
}
