//! Placement: which new node goes to which host.
//!
//! Nodes with equal needs and equal constraints form a class, and classes are placed one
//! after the other. Within a class, a host that cannot take one node cannot take a later one
//! either, so each class visits every host once and then uses a heap: the work grows with
//! classes x hosts + nodes x log(hosts).
//!
//! The order of the input does not matter: classes and hosts are ordered by their properties
//! and by name. Greedy placement can miss a packing, so three orders are tried, and small
//! instances are searched exhaustively (see [`super::search`]) before they are rejected.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::capacity::FreeCapacity;
use super::search;
use super::task::{Item, PlacementFailure, Task};
use crate::topology::Place;

/// The order in which classes are placed.
#[derive(Clone, Copy)]
enum Order {
    /// Fewest possible hosts first, then `spread` before `pack`, then the largest.
    Choice,
    /// The largest first: first-fit decreasing.
    Size,
}

impl Task<'_> {
    /// A host for each item, or the first item that has none.
    pub(super) fn solve(&self) -> Result<Vec<usize>, PlacementFailure> {
        let failure = match self.attempt(Order::Choice, false) {
            Ok(hosts) => return Ok(hosts),
            Err(failure) => failure,
        };
        // Better to give up spreading than to fail.
        self.attempt(Order::Size, false)
            .or_else(|_| self.attempt(Order::Size, true))
            .or_else(|_| search::search(self, &self.by_size()).ok_or(failure))
    }

    /// Size of an item as its largest share of the largest host, in millionths.
    fn sizes(&self) -> Vec<u128> {
        let most =
            |of: fn(&FreeCapacity) -> u64| u128::from(self.rooms.iter().map(of).max().unwrap_or(0).max(1));
        let memory = most(|room| room.left.memory.0);
        let vcpus = most(|room| u64::from(room.left.vcpus));
        let disk = most(|room| room.left.disk.0);
        let share = |need: u64, most: u128| u128::from(need) * 1_000_000 / most;
        self.items
            .iter()
            .map(|item| {
                share(item.needs.memory, memory)
                    .max(share(u64::from(item.needs.vcpus), vcpus))
                    .max(share(item.needs.disk, disk))
            })
            .collect()
    }

    fn by_size(&self) -> Vec<usize> {
        let sizes = self.sizes();
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_cached_key(|&i| {
            let item = self.items[i];
            (
                Reverse(sizes[i]),
                self.groups[item.group].rank,
                item.needs,
                &item.avoid,
                item.rank,
            )
        });
        order
    }

    fn by_choice(&self) -> Vec<usize> {
        let sizes = self.sizes();
        let hosts: Vec<usize> = self
            .groups
            .iter()
            .map(|rules| rules.allowed.iter().filter(|&&allowed| allowed).count())
            .collect();
        let choice = |item: &Item<'_>| {
            let rules = &self.groups[item.group];
            let avoided = item.avoid.iter().filter(|&&host| rules.allowed[host]).count();
            (
                hosts[item.group] - avoided,
                Reverse(rules.conflicts.len().min(1)),
                rules.place == Place::Pack,
            )
        };
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_cached_key(|&i| {
            let item = self.items[i];
            let rules = &self.groups[item.group];
            (
                choice(item),
                Reverse(sizes[i]),
                rules.rank,
                item.needs,
                &item.avoid,
                item.rank,
            )
        });
        order
    }

    fn attempt(&self, order: Order, pack_all: bool) -> Result<Vec<usize>, PlacementFailure> {
        let order = match order {
            Order::Choice => self.by_choice(),
            Order::Size => self.by_size(),
        };
        let mut rooms = self.rooms.clone();
        let mut hosts = vec![usize::MAX; self.items.len()];
        let mut failure: Option<PlacementFailure> = None;
        let class = |&i: &usize, &j: &usize| self.items[i].is_like(self.items[j]);
        for class in order.chunk_by(class) {
            let first = self.items[class[0]];
            let Item { group, needs, .. } = *first;
            let rules = &self.groups[group];
            let place = (!pack_all).then_some(rules.place);
            let mut heap: BinaryHeap<Reverse<(u32, u32, usize)>> = (0..rooms.len())
                .filter(|&host| first.may_be_on(host, rules))
                .map(|host| Reverse(preference(place, &rooms[host], group, host)))
                .collect();
            for &item in class {
                let host = loop {
                    let Some(Reverse((_, _, host))) = heap.pop() else {
                        break None;
                    };
                    if rooms[host].lacks(needs, &rules.conflicts).is_none() {
                        break Some(host);
                    }
                };
                if let Some(host) = host {
                    rooms[host].place(needs, group);
                    hosts[item] = host;
                    heap.push(Reverse(preference(place, &rooms[host], group, host)));
                } else if let Some(failure) = &mut failure {
                    failure.more += 1;
                } else {
                    failure = Some(PlacementFailure {
                        item,
                        more: 0,
                        rooms: rooms.clone(),
                    });
                }
            }
        }
        failure.map_or(Ok(hosts), Err)
    }
}

/// Sort key of a host, lowest first; the last part is the host itself, by name.
fn preference(place: Option<Place>, room: &FreeCapacity, group: usize, host: usize) -> (u32, u32, usize) {
    match place {
        None => (0, 0, host),
        Some(Place::Spread) => (room.count, room.groups.get(&group).copied().unwrap_or(0), host),
        // Hosts that already have nodes come first.
        Some(Place::Pack) => (u32::from(room.count == 0), 0, host),
    }
}
