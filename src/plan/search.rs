//! Exhaustive search for a packing, within a budget. Greedy placement fails on some small
//! instances that have a solution.

use super::capacity::FreeCapacity;
use super::task::Task;

/// The most items that are searched: the recursion depth.
const MAX_ITEMS: usize = 64;
/// The most steps. At well below a microsecond each, this takes a fraction of a second.
const MAX_STEPS: u32 = 300_000;

/// A host for each item, if the search finds one in time.
pub(super) fn search(task: &Task<'_>, order: &[usize]) -> Option<Vec<usize>> {
    if order.len() > MAX_ITEMS {
        return None;
    }
    let mut search = Search {
        task,
        order,
        rooms: task.rooms.clone(),
        hosts: vec![usize::MAX; order.len()],
        steps: 0,
    };
    search.descend(0).then_some(search.hosts)
}

struct Search<'a> {
    task: &'a Task<'a>,
    order: &'a [usize],
    rooms: Vec<FreeCapacity>,
    hosts: Vec<usize>,
    steps: u32,
}

impl Search<'_> {
    fn descend(&mut self, depth: usize) -> bool {
        let Some(&item) = self.order.get(depth) else {
            return true;
        };
        let (group, needs) = (self.task.items[item].group, self.task.items[item].needs);
        let rules = &self.task.groups[group];
        // Equal items are interchangeable: the later one never goes to an earlier host.
        let from = match depth.checked_sub(1).map(|before| self.order[before]) {
            Some(twin) if self.task.items[twin].is_like(self.task.items[item]) => self.hosts[twin],
            _ => 0,
        };
        for host in from..self.rooms.len() {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return false;
            }
            if !self.task.items[item].may_be_on(host, rules)
                || self.rooms[host].lacks(needs, &rules.conflicts).is_some()
            {
                continue;
            }
            self.rooms[host].place(needs, group);
            self.hosts[item] = host;
            if self.descend(depth + 1) {
                return true;
            }
            self.rooms[host].unplace(needs, group);
        }
        false
    }
}
