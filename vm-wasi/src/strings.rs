//! Arguments and environment: `args_*` and `environ_*`.

use crate::errno::Errno;
use crate::memory::GuestMemory;

/// Strings as the guest gets them: each with a NUL behind it, one after the
/// other.
#[derive(Clone, Debug, Default)]
pub(crate) struct StringArray {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl StringArray {
    /// Appends one string, which has no NUL in it. `None` if the guest's
    /// 32-bit sizes cannot express the sum.
    pub(crate) fn push(&mut self, text: &str) -> Option<()> {
        let offset = u32::try_from(self.bytes.len()).ok()?;
        let end = self.bytes.len().checked_add(text.len())?.checked_add(1)?;
        u32::try_from(end).ok()?;
        // The pointers must fit in an address space too.
        u32::try_from(self.offsets.len())
            .ok()?
            .checked_add(1)?
            .checked_mul(4)?;
        self.offsets.push(offset);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        Some(())
    }

    fn count(&self) -> Result<u32, Errno> {
        u32::try_from(self.offsets.len()).map_err(|_| Errno::Overflow)
    }

    /// `args_sizes_get`, `environ_sizes_get`.
    pub(crate) fn sizes(
        &self,
        memory: &mut GuestMemory<'_>,
        count: u32,
        size: u32,
    ) -> Result<(), Errno> {
        let bytes = u32::try_from(self.bytes.len()).map_err(|_| Errno::Overflow)?;
        memory.write_u32(count, self.count()?)?;
        memory.write_u32(size, bytes)
    }

    /// `args_get`, `environ_get`.
    pub(crate) fn get(
        &self,
        memory: &mut GuestMemory<'_>,
        pointers: u32,
        buffer: u32,
    ) -> Result<(), Errno> {
        memory.check(
            pointers,
            self.count()?.checked_mul(4).ok_or(Errno::Overflow)?,
        )?;
        memory.write(buffer, &self.bytes)?;
        let mut at = pointers;
        for offset in &self.offsets {
            // In range: the buffer of which this is a part was just written.
            memory.write_u32(at, buffer.wrapping_add(*offset))?;
            at = at.wrapping_add(4);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_terminated_strings() {
        let mut strings = StringArray::default();
        for text in ["prog", "", "x=1"] {
            assert!(strings.push(text).is_some());
        }
        let mut bytes = vec![0xff; 64];
        let mut memory = GuestMemory::new(&mut bytes);
        strings.sizes(&mut memory, 0, 4).unwrap();
        assert_eq!((memory.read_u32(0), memory.read_u32(4)), (Ok(3), Ok(10)));
        strings.get(&mut memory, 8, 20).unwrap();
        assert_eq!(memory.read_u32(8), Ok(20));
        assert_eq!(memory.read_u32(12), Ok(25));
        assert_eq!(memory.read_u32(16), Ok(26));
        assert_eq!(memory.slice(20, 11).unwrap()[..], b"prog\0\0x=1\0\xff"[..]);
    }

    #[test]
    fn a_buffer_that_does_not_fit_is_a_fault() {
        let mut strings = StringArray::default();
        assert!(strings.push("four").is_some());
        let mut bytes = vec![0; 16];
        let mut memory = GuestMemory::new(&mut bytes);
        assert_eq!(strings.get(&mut memory, 0, 12), Err(Errno::Fault));
        assert_eq!(strings.get(&mut memory, 13, 0), Err(Errno::Fault));
        assert_eq!(strings.sizes(&mut memory, 13, 0), Err(Errno::Fault));
        assert_eq!(strings.get(&mut memory, 0, 11), Ok(()));
    }
}
