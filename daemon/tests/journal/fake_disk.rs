//! A disk in memory that forgets: what was not synced may be gone, there, or there in part, sector
//! by sector, after a power cut; names of files likewise.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use pulseboardd::journal::{Disk, DiskFile};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SECTOR: usize = 512;

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What was done since the last sync, sector by sector.
    writes: Vec<(usize, Vec<u8>)>,
    reserved: u64,
}

#[derive(Clone)]
enum Naming {
    Add(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    namings: Vec<Naming>,
    /// Operations until the power goes; `None` never.
    power: Option<u64>,
    /// Bytes that can be reserved or written in all; `None` any number.
    space: Option<u64>,
    fail_syncs: bool,
    /// Reads that fail before the next one succeeds.
    fail_reads: u64,
    syncs: u64,
    hanging: u64,
}

/// A disk; clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct FakeDisk {
    state: Arc<Mutex<State>>,
    /// Each sync takes it.
    turn: Arc<Mutex<()>>,
}

impl FakeDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The power goes after this many more operations that change something.
    pub(crate) fn cut_power_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    /// Limits the space in all to what is taken now and `more` bytes.
    pub(crate) fn limit_space(&self, more: Option<u64>) {
        let mut state = self.state();
        let taken = state.taken();
        state.space = more.map(|more| taken + more);
    }

    /// So many reads fail from now on, and the disk is well again.
    pub(crate) fn fail_reads(&self, reads: u64) {
        self.state().fail_reads = reads;
    }

    pub(crate) fn fail_syncs(&self) {
        self.state().fail_syncs = true;
    }

    /// Syncs hang until this is dropped.
    pub(crate) fn hang_syncs(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap()
    }

    /// Whether a sync hangs.
    pub(crate) fn hangs(&self) -> bool {
        self.state().hanging > 0
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// The bytes of a file, to damage them.
    pub(crate) fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[path];
        let inode = &mut state.inodes[inode];
        edit(&mut inode.now);
        inode.durable.clone_from(&inode.now);
    }

    /// The disk as it may be found after a power cut now: of what was not synced, any part.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut state = self.state().clone();
        for inode in &mut state.inodes {
            // Nothing survives, everything does, or each sector does by itself.
            let odds = [0.0, 0.5, 0.9, 1.0][random.random_range(0..4)];
            for (at, sector) in std::mem::take(&mut inode.writes) {
                if random.random_bool(odds) {
                    put(&mut inode.durable, at, &sector);
                }
            }
            inode.durable.resize(inode.durable.len().max(inode.now.len()), 0);
            inode.now = inode.durable.clone();
        }
        let kept = random.random_range(0..=state.namings.len());
        let mut names = state.durable_names.clone();
        for naming in state.namings.drain(..).take(kept) {
            apply(&mut names, naming);
        }
        state.names = names.clone();
        state.durable_names = names;
        state.power = None;
        state.space = None;
        Self { state: Arc::new(Mutex::new(state)), turn: Arc::default() }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, naming: Naming) {
    match naming {
        Naming::Add(path, inode) => {
            names.insert(path, inode);
        }
        Naming::Rename(from, to) => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
        Naming::Remove(path) => {
            names.remove(&path);
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, with: &[u8]) {
    if bytes.len() < at + with.len() {
        bytes.resize(at + with.len(), 0);
    }
    bytes[at..at + with.len()].copy_from_slice(with);
}

impl State {
    fn taken(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].reserved).sum()
    }

    /// Every operation that changes something goes through here.
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.power {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn reserve(&mut self, inode: usize, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.inodes[inode].reserved);
        if self.space.is_some_and(|space| self.taken() + more > space) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inodes[inode].reserved += more;
        Ok(())
    }

    fn name(&mut self, naming: Naming) {
        apply(&mut self.names, naming.clone());
        self.namings.push(naming);
    }
}

struct FakeFile {
    disk: FakeDisk,
    inode: usize,
}

impl Disk for FakeDisk {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.spend()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.name(Naming::Add(path.to_owned(), inode));
        Ok(Arc::new(FakeFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = *self.state().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FakeFile { disk: self.clone(), inode }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        state.name(Naming::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        state.name(Naming::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        state.namings.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl DiskFile for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].now.len() as u64)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.spend()?;
        state.reserve(self.inode, len)?;
        state.inodes[self.inode].now.resize(len as usize, 0);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.fail_reads > 0 {
            state.fail_reads -= 1;
            return Err(io::Error::other("the disk does not answer"));
        }
        let bytes = &state.inodes[self.inode].now;
        let from = (offset as usize).min(bytes.len());
        let len = buffer.len().min(bytes.len() - from);
        buffer[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        // The power may go within a write as well as between two: a sector is all that is whole.
        let gone = state.spend();
        if let Err(error) = state.reserve(self.inode, offset + bytes.len() as u64) {
            // A full disk takes a part of what it is given.
            let half = bytes.len() / 2 / SECTOR * SECTOR;
            put(&mut state.inodes[self.inode].now, offset as usize, &bytes[..half]);
            return Err(error);
        }
        let inode = &mut state.inodes[self.inode];
        let mut at = offset as usize;
        let end = at + bytes.len();
        put(&mut inode.now, at, bytes);
        while at < end {
            let next = ((at / SECTOR + 1) * SECTOR).min(end);
            let sector = at / SECTOR * SECTOR;
            let last = inode.now.len().min(sector + SECTOR);
            inode.writes.push((sector, inode.now[sector..last].to_vec()));
            at = next;
        }
        gone
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().hanging += 1;
        let turn = self.disk.turn.lock().unwrap();
        let mut state = self.disk.state();
        state.hanging -= 1;
        drop(turn);
        state.spend()?;
        if state.fail_syncs {
            return Err(io::Error::other("the disk is broken"));
        }
        state.syncs += 1;
        let inode = &mut state.inodes[self.inode];
        inode.durable.clone_from(&inode.now);
        inode.writes.clear();
        Ok(())
    }
}
