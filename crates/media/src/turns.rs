//! Who begins to speak in a room hears the others by an encoder of his own from then on, and who ceases by that of all listeners
//! again. Neither is to be heard: one goes on where the other is, in its state and in what waits for its packet to be full.

use crate::engine::Engine;
use crate::room::{Room, inside, wanted};
use crate::route::prepare_encoding;
use crate::transcode::Encoding;
use crate::voice::Ear;

impl Engine {
    /// Who has begun to speak goes on from the encoder of all listeners.
    pub(crate) fn take_turns(&mut self, room: &mut Room, number: u64) {
        let complexity = self.effort.complexity();
        let Room {
            far,
            speakers,
            shared,
            ..
        } = room;
        for speaker in speakers.iter_mut().filter(|speaker| !speaker.apart) {
            speaker.apart = true;
            let shared = |ear: Ear| shared.iter().find(|one| one.fits(ear.wish, ear.rate));
            if let Some(member) = far.iter_mut().find(|member| member.leg == speaker.leg) {
                let Some(ear) = member.hears else { continue };
                member.encoding = shared(ear).and_then(|shared| {
                    let mut own = Encoding::new(ear.wish, ear.rate, complexity)?;
                    own.follow(shared);
                    Some(Box::new(own))
                });
                continue;
            }
            let leg = self.legs.get_mut(speaker.leg);
            let Some(leg) = leg.filter(|leg| inside(leg, number)) else {
                continue;
            };
            let Some(ear) = wanted(leg) else { continue };
            prepare_encoding(leg, ear.wish.codec, ear.rate, complexity);
            match (shared(ear), leg.tx.encoding.as_deref_mut()) {
                (Some(shared), Some(own)) => own.follow(shared),
                // What waits in it is from before he came here.
                _ => leg.tx.encoding = None,
            }
        }
    }

    /// An encoder for those who begin to listen, as none does yet: the one of somebody who has just ceased to speak, if there is
    /// one.
    pub(crate) fn begin_to_share(
        &mut self,
        room: &mut Room,
        number: u64,
        ear: Ear,
    ) -> Option<Encoding> {
        let Room {
            members,
            far,
            speakers,
            ..
        } = room;
        let listens = |id| !speakers.iter().any(|speaker| speaker.leg == id);
        let fits = |one: &mut Box<Encoding>| one.fits(ear.wish, ear.rate);
        let own = members.iter().filter(|id| listens(**id)).find_map(|id| {
            let leg = self.legs.get_mut(*id).filter(|leg| inside(leg, number))?;
            leg.tx.encoding.take_if(fits)
        });
        let far = far.iter_mut().filter(|member| listens(member.leg));
        let own = own.or_else(|| far.into_iter().find_map(|it| it.encoding.take_if(fits)));
        match own {
            Some(own) => Some(own.shared()),
            None => Some(Encoding::new(ear.wish, ear.rate, self.effort.complexity())?.shared()),
        }
    }
}
