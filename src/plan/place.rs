//! Placement: which new node goes to which host.
//!
//! Nodes with equal needs and equal constraints form a class, and classes are placed one
//! after the other. While a class is placed, a host that cannot take one of its nodes will
//! not take a later one either, so each class looks at every host once and then keeps to a
//! heap: the work grows with classes x hosts + nodes x log(hosts).
//!
//! The order of the input plays no part: classes and hosts are ordered by what they are
//! and by name. Greedy placement can miss a packing, so it is tried in three orders, and
//! small instances are searched to the end (see [`super::search`]) before they are refused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::capacity::{Needs, Room};
use super::search;
use crate::topology::Place;

/// A node that needs a host.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) group: usize,
    pub(super) needs: Needs,
    /// Hosts that it must not go to although its group may, ascending.
    pub(super) avoid: Vec<usize>,
    /// Place of its name in the natural order of all names.
    pub(super) rank: usize,
}

impl Item {
    /// Whether the two are interchangeable.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.group == other.group && self.needs == other.needs && self.avoid == other.avoid
    }

    pub(super) fn may_be_on(&self, host: usize, rules: &Rules) -> bool {
        rules.allowed[host] && self.avoid.binary_search(&host).is_err()
    }
}

/// What is common to the nodes of a group.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) place: Place,
    /// Whether its nodes may be on a host, by host.
    pub(super) allowed: Vec<bool>,
    /// Groups that may not share a host with it, both directions.
    pub(super) conflicts: Vec<usize>,
    /// Place of its name in the natural order of the groups.
    pub(super) rank: usize,
}

/// The whole task. Hosts are in the natural order of their names.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) rooms: Vec<Room>,
    pub(super) groups: Vec<Rules>,
    pub(super) items: Vec<Item>,
}

/// A placement that did not work out.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The first item without a host.
    pub(super) item: usize,
    /// How many more there are.
    pub(super) more: usize,
    /// The hosts as they were when it was refused.
    pub(super) rooms: Vec<Room>,
}

/// The order in which classes are placed.
#[derive(Clone, Copy)]
enum Order {
    /// Who has the least choice first, then `spread` before `pack`, then the largest.
    Choice,
    /// The largest first: first-fit decreasing.
    Size,
}

impl Task {
    /// A host for each item, or the first item that has none.
    pub(super) fn solve(&self) -> Result<Vec<usize>, Failure> {
        let failure = match self.attempt(Order::Choice, false) {
            Ok(hosts) => return Ok(hosts),
            Err(failure) => failure,
        };
        // The wish to spread gives way before the wish to have the cluster at all.
        self.attempt(Order::Size, false)
            .or_else(|_| self.attempt(Order::Size, true))
            .or_else(|_| search::search(self, &self.by_size()).ok_or(failure))
    }

    /// Size of an item as its largest share of the largest host, in millionths.
    fn sizes(&self) -> Vec<u128> {
        let most = |of: fn(&Room) -> u64| u128::from(self.rooms.iter().map(of).max().unwrap_or(0).max(1));
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
            let item = &self.items[i];
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
        let choice = |item: &Item| {
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
            let item = &self.items[i];
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

    fn attempt(&self, order: Order, pack_all: bool) -> Result<Vec<usize>, Failure> {
        let order = match order {
            Order::Choice => self.by_choice(),
            Order::Size => self.by_size(),
        };
        let mut rooms = self.rooms.clone();
        let mut hosts = vec![usize::MAX; self.items.len()];
        let mut failure: Option<Failure> = None;
        let class = |&i: &usize, &j: &usize| self.items[i].is_like(&self.items[j]);
        for class in order.chunk_by(class) {
            let first = &self.items[class[0]];
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
                    failure = Some(Failure {
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

/// The host with the least preference is taken; the last part is the host itself, by name.
fn preference(place: Option<Place>, room: &Room, group: usize, host: usize) -> (u32, u32, usize) {
    match place {
        None => (0, 0, host),
        Some(Place::Spread) => (room.count, room.groups.get(&group).copied().unwrap_or(0), host),
        // A host that is begun comes before one that is not.
        Some(Place::Pack) => (u32::from(room.count == 0), 0, host),
    }
}
