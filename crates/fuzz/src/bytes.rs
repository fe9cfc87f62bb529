//! An input read as a script: numbers and pieces, zero and empty once it is over.

/// What is left of the input.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let [one] = self.array();
        one
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut all = [0; N];
        let taken = self.take(N);
        all[..taken.len()].copy_from_slice(taken);
        all
    }

    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece that begins with its length in two bytes, at most `most` long.
    pub(crate) fn piece(&mut self, most: usize) -> &'a [u8] {
        let length = usize::from(self.u16()).min(most);
        self.take(length)
    }
}

/// The script element that `Bytes::piece` reads.
pub(crate) fn piece(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a short piece");
    [&length.to_be_bytes(), data].concat()
}
