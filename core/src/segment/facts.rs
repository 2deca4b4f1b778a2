//! What there is to be seen of an object, fact by fact: one list for all who show it.

use super::ObjectState;
use crate::Capacity;

/// One thing to be seen of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// Yes or no.
    Flag(bool),
    /// A number, where there is one.
    Number(Option<u64>),
    /// Text, where there is some.
    Text(Option<String>),
    /// Several texts.
    Texts(Vec<String>),
    /// Several numbers.
    Numbers(Vec<u64>),
    /// A participant's slot, where there is one.
    Process(Option<u32>),
    /// Slots.
    Processes(Vec<u32>),
    /// A participant's slot and the number of a thread in that process, where there is one.
    Thread(Option<(u32, u32)>),
    /// Several of those.
    Threads(Vec<(u32, u32)>),
    /// Slots, each with a number.
    Counts(Vec<(u32, u64)>),
}

impl ObjectState {
    /// What there is to be seen, by name, in the order in which to show it.
    pub fn facts(&self) -> Vec<(&'static str, Fact)> {
        let flag = |yes: &bool| Fact::Flag(*yes);
        let number = |n: u64| Fact::Number(Some(n));
        let count = |n: &usize| Fact::Number(Some(*n as u64));
        let name = |name: &str| Fact::Text(Some(name.to_string()));
        match self {
            Self::Semaphore { value, max, leases } => vec![
                ("value", number((*value).into())),
                ("max", number((*max).into())),
                ("leases", Fact::Threads(leases.clone())),
            ],
            Self::Mutex { holder, owner_died } => {
                vec![("holder", Fact::Thread(*holder)), ("owner_died", flag(owner_died))]
            }
            Self::Monitor { holder, owner_died, conditions } => vec![
                ("holder", Fact::Thread(*holder)),
                ("owner_died", flag(owner_died)),
                ("conditions", Fact::Texts(conditions.clone())),
            ],
            Self::RwLock { policy, writer, readers, owner_died } => vec![
                ("policy", name(policy.name())),
                ("writer", Fact::Thread(*writer)),
                ("readers", Fact::Counts(readers.iter().map(|(slot, n)| (*slot, (*n).into())).collect())),
                ("owner_died", flag(owner_died)),
            ],
            Self::Barrier { parties, arrived, broken } => vec![
                ("parties", number((*parties).into())),
                ("arrived", number((*arrived).into())),
                ("broken", flag(broken)),
            ],
            Self::Event { flags } => vec![("flags", number((*flags).into()))],
            Self::Ring { size, used, record_size, shut_down, producer, consumer } => vec![
                ("size", count(size)),
                ("used", count(used)),
                ("record_size", Fact::Number(Some(*record_size as u64).filter(|size| *size > 0))),
                ("shut_down", flag(shut_down)),
                ("producer", Fact::Process(*producer)),
                ("consumer", Fact::Process(*consumer)),
            ],
            Self::Mailbox { capacity, message_size, order, len, voided, redelivered, dropped, shut_down, holders } => {
                vec![
                    ("capacity", count(&capacity.most())),
                    ("unbounded", Fact::Flag(matches!(capacity, Capacity::Unbounded { .. }))),
                    ("message_size", count(message_size)),
                    ("order", name(order.name())),
                    ("len", count(len)),
                    ("voided", number(*voided)),
                    ("redelivered", number(*redelivered)),
                    ("dropped", number(*dropped)),
                    ("shut_down", flag(shut_down)),
                    ("holders", Fact::Processes(holders.clone())),
                ]
            }
            Self::Topic {
                capacity,
                message_size,
                policy,
                published,
                dropped,
                evicted,
                shut_down,
                publisher,
                subscribers,
                max_subscribers,
            } => vec![
                ("capacity", count(capacity)),
                ("message_size", count(message_size)),
                ("policy", name(policy.name())),
                ("published", number(*published)),
                ("dropped", number(*dropped)),
                ("evicted", number(*evicted)),
                ("shut_down", flag(shut_down)),
                ("publisher", Fact::Process(*publisher)),
                ("subscribers", Fact::Counts(subscribers.clone())),
                ("max_subscribers", count(max_subscribers)),
            ],
            Self::Service {
                calls,
                request_size,
                response_size,
                idempotent,
                waiting,
                serving,
                servers,
                died,
                requeued,
                shut_down,
            } => vec![
                ("calls", count(calls)),
                ("request_size", count(request_size)),
                ("response_size", count(response_size)),
                ("idempotent", flag(idempotent)),
                ("waiting", count(waiting)),
                ("serving", count(serving)),
                ("servers", count(&servers.len())),
                ("died", number(*died)),
                ("requeued", number(*requeued)),
                ("shut_down", flag(shut_down)),
            ],
            Self::Port { capacity, message_size, len, receiver, senders } => vec![
                ("capacity", count(capacity)),
                ("message_size", count(message_size)),
                ("len", count(len)),
                ("receiver", Fact::Process(*receiver)),
                ("senders", count(senders)),
            ],
            Self::Array { type_tag, shape, writer, owner_died, version } => vec![
                ("type_tag", name(type_tag)),
                ("shape", Fact::Numbers(shape.iter().map(|n| *n as u64).collect())),
                ("writer", Fact::Thread(*writer)),
                ("owner_died", flag(owner_died)),
                ("version", number(*version)),
            ],
            Self::Cell { size, version, writers, type_tag } => vec![
                ("size", count(size)),
                ("version", number(*version)),
                ("writers", Fact::Processes(writers.clone())),
                ("type_tag", Fact::Text(Some(type_tag.clone()).filter(|tag| !tag.is_empty()))),
            ],
            Self::Unreadable(reason) => vec![("unreadable", name(reason))],
        }
    }
}
