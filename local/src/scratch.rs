//! A folder that looks like the repository, for tests.

use std::{fs, path::PathBuf};

use crate::state::Layout;

pub struct Scratch {
    pub root: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        let root = std::env::temp_dir().join(format!("sluice-local-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(root.join("platform")).expect("a scratch folder");
        fs::write(root.join("template.yaml"), "Resources: {}\n").expect("a template");
        Scratch { root }
    }

    pub fn layout(&self) -> Layout {
        Layout::find(&self.root).expect("the scratch folder")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}
