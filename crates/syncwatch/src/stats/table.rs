//! Counts, and the table that shows them (spec inotifywait.md 11.3, 11.4).

use std::collections::BTreeMap;

use serde_json::json;
use syncline_watch::Mask;

/// Columns, in their order.
const COLUMNS: [(&str, Mask); 13] = [
    ("access", Mask::ACCESS),
    ("modify", Mask::MODIFY),
    ("attrib", Mask::ATTRIB),
    ("close_write", Mask::CLOSE_WRITE),
    ("close_nowrite", Mask::CLOSE_NOWRITE),
    ("open", Mask::OPEN),
    ("moved_from", Mask::MOVED_FROM),
    ("moved_to", Mask::MOVED_TO),
    ("move_self", Mask::MOVE_SELF),
    ("create", Mask::CREATE),
    ("delete", Mask::DELETE),
    ("delete_self", Mask::DELETE_SELF),
    ("unmount", Mask::UNMOUNT),
];

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Total,
    Event(Mask),
}

/// How rows are sorted; ties stay in the order of the watches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) key: Key,
    pub(super) descending: bool,
}

/// One watch's counts.
#[derive(Clone, Default)]
struct Row {
    total: u64,
    counts: [u64; COLUMNS.len()],
    path: Vec<u8>,
}

/// All counts, by watch number.
#[derive(Default)]
pub(super) struct Counts {
    rows: BTreeMap<i64, Row>,
    /// The numbers say nothing about an order: ties stay in the order of the paths.
    by_path: bool,
}

impl Counts {
    /// Counts an event of the watch with this number, which is at `path` now.
    pub(super) fn count(&mut self, watch: i64, path: &[u8], mask: Mask) {
        let row = self.rows.entry(watch).or_default();
        row.total += 1;
        for (count, (_, bits)) in row.counts.iter_mut().zip(COLUMNS) {
            *count += u64::from(mask.intersects(bits));
        }
        if row.path != path {
            row.path = path.to_vec();
        }
    }

    pub(super) fn new(by_path: bool) -> Self {
        Self { by_path, ..Self::default() }
    }

    /// Says where a watch is now, making its row when it has none.
    pub(super) fn place(&mut self, watch: i64, path: Vec<u8>) {
        self.rows.entry(watch).or_default().path = path;
    }

    pub(super) fn nothing_happened(&self) -> bool {
        self.rows.values().all(|row| row.total == 0)
    }

    /// The table; `asked` are the events that were to be counted.
    pub(super) fn table(&self, asked: Mask, zero: bool, order: Order) -> Vec<u8> {
        let columns = self.columns(asked, zero);
        let mut out = b"total  ".to_vec();
        for &column in &columns {
            out.extend_from_slice(format!("{}  ", COLUMNS[column].0).as_bytes());
        }
        out.extend_from_slice(b"filename\n");
        for row in self.sorted(zero, order) {
            out.extend_from_slice(format!("{:<5}  ", row.total).as_bytes());
            for &column in &columns {
                let (name, _) = COLUMNS[column];
                out.extend_from_slice(
                    format!("{:<width$}  ", row.counts[column], width = name.len()).as_bytes(),
                );
            }
            out.extend_from_slice(&row.path);
            out.push(b'\n');
        }
        out
    }

    /// The same as JSON: an array of objects with `path`, `total` and one member for each column.
    pub(super) fn json(&self, asked: Mask, zero: bool, order: Order) -> Vec<u8> {
        let columns = self.columns(asked, zero);
        let rows: Vec<_> = self
            .sorted(zero, order)
            .into_iter()
            .map(|row| {
                let mut object = serde_json::Map::new();
                object.insert("path".into(), json!(String::from_utf8_lossy(&row.path)));
                if std::str::from_utf8(&row.path).is_err() {
                    object.insert("path_bytes".into(), json!(row.path));
                }
                object.insert("total".into(), json!(row.total));
                for &column in &columns {
                    object.insert(COLUMNS[column].0.into(), json!(row.counts[column]));
                }
                serde_json::Value::Object(object)
            })
            .collect();
        let mut out = serde_json::Value::Array(rows).to_string().into_bytes();
        out.push(b'\n');
        out
    }

    fn columns(&self, asked: Mask, zero: bool) -> Vec<usize> {
        (0..COLUMNS.len())
            .filter(|&column| {
                asked.intersects(COLUMNS[column].1)
                    && (zero || self.rows.values().any(|row| row.counts[column] > 0))
            })
            .collect()
    }

    fn sorted(&self, zero: bool, order: Order) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.values().filter(|row| zero || row.total > 0).collect();
        let key = |row: &Row| match order.key {
            Key::Total => row.total,
            Key::Event(bits) => COLUMNS
                .iter()
                .zip(row.counts)
                .filter(|((_, column), _)| column.intersects(bits))
                .map(|(_, count)| count)
                .sum(),
        };
        if self.by_path {
            rows.sort_by(|a, b| a.path.cmp(&b.path));
        }
        // Stable: ties stay in the order of the watches, whichever way the rest goes.
        rows.sort_by(
            |a, b| if order.descending { key(b).cmp(&key(a)) } else { key(a).cmp(&key(b)) },
        );
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_keep_the_order_of_the_watches_in_both_directions() {
        let mut counts = Counts::default();
        counts.count(2, b"b", Mask::OPEN);
        counts.count(1, b"a", Mask::OPEN);
        for descending in [false, true] {
            let order = Order { key: Key::Total, descending };
            let table = String::from_utf8(counts.table(Mask::ALL, false, order)).unwrap();
            assert_eq!(table, "total  open  filename\n1      1     a\n1      1     b\n");
        }
    }

    #[test]
    fn json_has_a_member_for_each_shown_column() {
        let mut counts = Counts::default();
        counts.count(1, b"d/", Mask::OPEN);
        let order = Order { key: Key::Total, descending: true };
        let json: serde_json::Value =
            serde_json::from_slice(&counts.json(Mask::ALL, false, order)).unwrap();
        assert_eq!(json, json!([{"path": "d/", "total": 1, "open": 1}]));
    }
}
