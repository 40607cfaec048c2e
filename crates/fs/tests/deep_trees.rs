//! Trees deeper than the process may hold descriptors. Alone in this file: the limit is the whole process's.

#![allow(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{RESOLVERS, Scene, path};
use syncline_fs::Obstruction;

#[test]
fn a_tree_deeper_than_there_are_descriptors_is_made_and_removed() {
    let limit = Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let scene = Scene::new();
    let deep = vec!["d"; 400].join("/");
    for resolver in RESOLVERS {
        let root = scene.root().with_resolver(resolver);
        root.make_directories(path(&deep), 0o755, Obstruction::Refuse, |_| Ok(())).unwrap();
        let file = format!("{deep}/f");
        root.place(path(&file)).unwrap().create_file(0o600).unwrap();
        let fresh = scene.root().with_resolver(resolver);
        assert!(fresh.place(path(&file)).unwrap().stat().is_ok());
        fresh.remove_tree(path("d")).unwrap();
        assert!(scene.names("").is_empty());
    }
}
