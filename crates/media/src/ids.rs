//! Ids of legs, and the arena they index: an id of a closed leg never finds the leg that took its place.

/// Shard 8 bits, slot 24, generation 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LegId(pub(crate) u64);

/// Slots that 24 bits can name.
const MAX_SLOTS: usize = 1 << 24;

impl LegId {
    fn new(shard: u8, slot: u32, generation: u32) -> Self {
        Self(u64::from(shard) << 56 | u64::from(slot) << 32 | u64::from(generation))
    }

    pub(crate) fn slot(self) -> u32 {
        // Lossless: 24 bits.
        ((self.0 >> 32) & 0xff_ffff) as u32
    }

    fn generation(self) -> u32 {
        // Truncation is the point.
        self.0 as u32
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<Box<T>>,
}

/// Values by id; a slot's generation grows each time it is emptied.
pub(crate) struct Arena<T> {
    shard: u8,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Arena<T> {
    pub(crate) fn new(shard: u8) -> Self {
        Self {
            shard,
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The id the next `insert` will give; `None` when all slots are taken.
    pub(crate) fn next_id(&self) -> Option<LegId> {
        match self.free.last() {
            Some(&slot) => {
                let generation = self.slots.get(slot as usize)?.generation;
                Some(LegId::new(self.shard, slot, generation))
            }
            None if self.slots.len() < MAX_SLOTS => Some(LegId::new(
                self.shard,
                u32::try_from(self.slots.len()).ok()?,
                1,
            )),
            None => None,
        }
    }

    /// Puts a value under the id that `next_id` gave.
    pub(crate) fn insert(&mut self, id: LegId, value: T) {
        let value = Some(Box::new(value));
        if self.free.last() == Some(&id.slot()) {
            self.free.pop();
        }
        match self.slots.get_mut(id.slot() as usize) {
            Some(slot) => slot.value = value,
            None => self.slots.push(Slot {
                generation: id.generation(),
                value,
            }),
        }
    }

    pub(crate) fn get(&self, id: LegId) -> Option<&T> {
        let slot = self.slots.get(id.slot() as usize)?;
        slot.value
            .as_deref()
            .filter(|_| LegId::new(self.shard, id.slot(), slot.generation) == id)
    }

    pub(crate) fn get_mut(&mut self, id: LegId) -> Option<&mut T> {
        let shard = self.shard;
        let slot = self.slots.get_mut(id.slot() as usize)?;
        let found = LegId::new(shard, id.slot(), slot.generation) == id;
        slot.value.as_deref_mut().filter(|_| found)
    }

    /// The live value in a slot, whatever its generation.
    pub(crate) fn at_slot(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.value.as_deref_mut()
    }

    pub(crate) fn remove(&mut self, id: LegId) -> Option<Box<T>> {
        self.get(id)?;
        let slot = self.slots.get_mut(id.slot() as usize)?;
        slot.generation = slot.generation.wrapping_add(1).max(1);
        self.free.push(id.slot());
        slot.value.take()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.value.as_deref_mut())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_deref())
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
