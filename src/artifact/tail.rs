//! The lower half of the stage: compressed bytes are sealed where that is asked for, and cut into parts. Where an upload is
//! gone on with, what is stored already is made again only from the nearest place on, compared, and dropped.
//!
//! Two numbers are followed side by side: of compressed bytes and of stored ones. At each [`Cut`] it is noted what both
//! streams were until there; the note goes with the part that ends there, and is the [`Point`] to go on from once the part
//! is stored.

use sha2::{Digest as _, Sha256};

use super::{
    cut::Cut,
    error::ArtifactError,
    keys::Sealing,
    plain::Promised,
    state::{HashState, Point},
    upload::Upload,
};
use crate::{domain::Hex, security::seal::Sealer};

/// What is known of the plain bytes where a frame begins.
struct FrameStart {
    frame: u64,
    /// SHA-256 of the plain bytes before it.
    plain: Promised,
    /// That of its compressed bytes so far, where a place may fall into it where they are asked for.
    compressed: Option<Sha256>,
}

/// Where an upload is gone on with.
#[derive(Clone)]
pub(super) struct GoingOn {
    pub(super) point: Point,
    /// Compressed bytes before the point's frame.
    pub(super) compressed: u64,
}

pub(super) struct Tail {
    pub(super) upload: Upload,
    compressed: u64,
    stored: (u64, Sha256),
    /// The open frame.
    frame: Option<FrameStart>,
    sealing: Option<Sealing>,
    sealer: Option<Sealer>,
    /// Until it has been passed.
    going_on: Option<(GoingOn, Cut)>,
    cut: Option<Cut>,
    /// What was noted at the cut's compressed place, while its stored place is still to come.
    noted: Option<Point>,
    sealed: Vec<u8>,
}

impl Tail {
    pub(super) async fn new(
        upload: Upload,
        sealing: Option<Sealing>,
        going_on: Option<GoingOn>,
    ) -> Result<Self, ArtifactError> {
        let is_sealed = sealing.is_some();
        let going_on = match going_on {
            Some(from) => {
                let cut = Cut::at(from.point.parts, is_sealed).ok_or_else(ArtifactError::changed)?;
                Some((from, cut))
            }
            None => None,
        };
        let mut tail = Self {
            upload,
            compressed: going_on.as_ref().map_or(0, |(from, _)| from.compressed),
            stored: (0, Sha256::new()),
            frame: None,
            sealing,
            sealer: None,
            cut: Cut::at(1, is_sealed),
            going_on,
            noted: None,
            sealed: Vec::new(),
        };
        if tail.going_on.is_none()
            && let Some(sealing) = &tail.sealing
        {
            let (sealer, preamble) = sealing.begin();
            tail.sealer = Some(sealer);
            tail.store(&preamble).await?;
        }
        Ok(tail)
    }

    /// Stored bytes, and what they are.
    pub(super) fn stored(&self) -> (u64, Hex<32>) {
        (self.stored.0, digest(&self.stored.1))
    }

    /// Compressed bytes so far.
    pub(super) fn compressed(&self) -> u64 {
        self.compressed
    }

    /// A frame begins, which has at most so many compressed bytes, if that is known.
    pub(super) async fn begin_frame(
        &mut self,
        frame: u64,
        plain: Promised,
        most: Option<u64>,
    ) -> Result<(), ArtifactError> {
        let end = most.map(|most| self.compressed + most);
        let is_before = self.stop().zip(end).is_some_and(|(stop, end)| end < stop);
        let compressed = (!is_before).then(Sha256::new);
        self.frame = Some(FrameStart { frame, plain, compressed });
        // The upload may have been left exactly between two frames.
        if self.going_on.is_some() && self.stop() == Some(self.compressed) {
            self.reached().await?;
        }
        Ok(())
    }

    /// The next compressed place where something happens.
    fn stop(&self) -> Option<u64> {
        match &self.going_on {
            // Once its compressed place is passed, a sealer is at work, and the stored place comes before the next cut.
            Some((_, cut)) if self.noted.is_none() && self.sealer.is_none() => Some(cut.compressed),
            Some(_) => None,
            None => self.cut.map(|cut| cut.compressed).filter(|_| self.noted.is_none()),
        }
    }

    /// Takes compressed bytes of the open frame.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        while !bytes.is_empty() {
            let stop = self.stop();
            let room = stop.map_or(u64::MAX, |stop| stop.saturating_sub(self.compressed));
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            if let Some(hash) = self.frame.as_mut().and_then(|frame| frame.compressed.as_mut()) {
                hash.update(now);
            }
            self.compressed += now.len() as u64;
            self.pass(now).await?;
            if stop == Some(self.compressed) {
                self.reached().await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Seals compressed bytes, or not, and stores them; drops them where they come before what has to be made again.
    async fn pass(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        match (&mut self.sealer, &self.sealing, &self.going_on) {
            (Some(sealer), _, _) => {
                sealer.write(bytes, &mut self.sealed)?;
                self.store_sealed().await
            }
            (None, None, None) => self.store(bytes).await,
            (None, _, _) => Ok(()),
        }
    }

    async fn store_sealed(&mut self) -> Result<(), ArtifactError> {
        let mut sealed = std::mem::take(&mut self.sealed);
        self.store(&sealed).await?;
        sealed.clear();
        self.sealed = sealed;
        Ok(())
    }

    /// A cut's compressed place: of the upload that is gone on with, or of the part that fills.
    async fn reached(&mut self) -> Result<(), ArtifactError> {
        let Some(start) = &mut self.frame else { return Err(ArtifactError::changed()) };
        let Some(compressed) = start.compressed.as_ref().map(digest) else {
            return Err(ArtifactError::Stopped("a frame is longer than it can be".to_owned()));
        };
        let Some((from, cut)) = &self.going_on else {
            self.noted = Some(Point {
                parts: 0,
                frame: start.frame,
                plain: start.plain.told().await?,
                compressed,
                stored_from: HashState::of(&self.stored.1),
                stored: Hex([0; 32]),
            });
            return self.at_cut().await;
        };
        let hash = from.point.stored_from.hash();
        let same = start.frame == from.point.frame && compressed == from.point.compressed;
        let stored = hash.filter(|_| same).ok_or_else(ArtifactError::changed)?;
        self.stored = (cut.stored_from, stored);
        self.sealer = self.sealing.as_ref().map(|sealing| sealing.resume(cut.segment));
        self.at_cut().await
    }

    /// Takes stored bytes, in order: hashes them, and sends those on that are not stored yet.
    async fn store(&mut self, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        while !bytes.is_empty() {
            let end = self.going_on.as_ref().map(|(_, cut)| cut.stored).or(self.cut.map(|cut| cut.stored));
            let end = end.ok_or_else(|| {
                ArtifactError::Invalid("it is larger than 164 GiB: no storage takes so many parts".to_owned())
            })?;
            let room = usize::try_from(end.saturating_sub(self.stored.0)).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.stored.1.update(now);
            self.stored.0 += now.len() as u64;
            if self.going_on.is_none() {
                self.upload.write(now).await?;
            }
            self.at_cut().await?;
            bytes = later;
        }
        Ok(())
    }

    /// Looks whether the stored place of a cut is reached, too.
    async fn at_cut(&mut self) -> Result<(), ArtifactError> {
        if let Some((from, cut)) = &self.going_on {
            if self.stored.0 == cut.stored {
                if digest(&self.stored.1) != from.point.stored {
                    return Err(ArtifactError::changed());
                }
                self.cut = Cut::at(cut.parts + 1, self.sealing.is_some());
                self.going_on = None;
            }
            return Ok(());
        }
        let Some(cut) = self.cut.filter(|cut| self.stored.0 == cut.stored) else { return Ok(()) };
        if let Some(noted) = self.noted.take() {
            let point = Point { parts: cut.parts, stored: digest(&self.stored.1), ..noted };
            self.cut = Cut::at(cut.parts + 1, self.sealing.is_some());
            self.upload.part_full(point).await?;
        }
        Ok(())
    }

    /// The last compressed byte has come.
    pub(super) async fn finish(&mut self) -> Result<(), ArtifactError> {
        if let Some(sealer) = self.sealer.take() {
            sealer.finish(&mut self.sealed)?;
            self.store_sealed().await?;
        }
        // It has become shorter than what is stored of it.
        if self.going_on.is_some() { Err(ArtifactError::changed()) } else { Ok(()) }
    }
}

pub(super) fn digest(hash: &Sha256) -> Hex<32> {
    Hex(hash.clone().finalize().into())
}
