//! A configuration as text: what differs from the defaults, in the order of the types.

use serde::Serialize;
use toml::{Table, Value};

use super::{Action, Config, Hook, Mirror, RunHook, Target};
use crate::Error;

pub(super) fn print(config: &Config) -> Result<String, Error> {
    let mut table = to_table(config)?;
    let (mirror, target) = (to_table(&Mirror::default())?, to_table(&Target::default())?);
    let hook = {
        let (run, suffix) = (Vec::new(), Vec::new());
        let (pass, output) = (super::PassPaths::default(), super::Output::default());
        let mut usual = to_table(&Hook::new(Action::Run(RunHook { run, suffix, pass, output })))?;
        usual.insert("body".into(), Value::String("none".into()));
        usual.insert("headers".into(), Value::Table(Table::new()));
        usual
    };
    for mirror_table in tables(&mut table, "mirror") {
        for target_table in tables(mirror_table, "target") {
            drop_usual(target_table, &target);
        }
        for hook_table in tables(mirror_table, "hook") {
            drop_usual(hook_table, &hook);
        }
        drop_usual(mirror_table, &mirror);
    }
    drop_usual(&mut table, &to_table(&Config::default())?);
    toml::to_string_pretty(&table).map_err(|error| Error::LivePrint { problem: error.to_string() })
}

fn to_table<T: Serialize>(value: &T) -> Result<Table, Error> {
    Table::try_from(value).map_err(|error| Error::LivePrint { problem: error.to_string() })
}

fn tables<'a>(table: &'a mut Table, key: &str) -> impl Iterator<Item = &'a mut Table> {
    let list = table.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}

fn drop_usual(table: &mut Table, usual: &Table) {
    table.retain(|key, value| usual.get(key) != Some(value));
}
