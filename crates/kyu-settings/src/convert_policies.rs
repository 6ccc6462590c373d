//! Policies of queues, between JSON and the engine.

use kyu_model::{QueueConfig, QueueName};

use crate::policies::{ExpiredTo, Guard, GuardKey};

impl From<&kyu_model::ExpiredTo> for ExpiredTo {
    fn from(to: &kyu_model::ExpiredTo) -> Self {
        match to {
            kyu_model::ExpiredTo::Nowhere => Self::Nowhere,
            kyu_model::ExpiredTo::DeadLetterQueue => Self::DeadLetterQueue,
            kyu_model::ExpiredTo::Queue(name) => Self::Queue(name.name.clone()),
        }
    }
}

impl ExpiredTo {
    pub(crate) fn within(self, namespace: &str) -> kyu_model::ExpiredTo {
        match self {
            Self::Nowhere => kyu_model::ExpiredTo::Nowhere,
            Self::DeadLetterQueue => kyu_model::ExpiredTo::DeadLetterQueue,
            Self::Queue(name) => {
                kyu_model::ExpiredTo::Queue(QueueName { namespace: namespace.to_owned(), name })
            }
        }
    }
}

impl Guard {
    pub(crate) fn of(config: &QueueConfig) -> Option<Self> {
        let kyu_model::Guard { key, budget, breaker } = config.guard?;
        let key = match key {
            kyu_model::GuardKey::Queue => GuardKey::Queue,
            kyu_model::GuardKey::Lane => GuardKey::Lane,
            kyu_model::GuardKey::Attribute => {
                GuardKey::Attribute(config.guard_attribute.clone().unwrap_or_default())
            }
        };
        Some(Self { key, budget, breaker })
    }

    /// The guard, and the attribute that it goes by.
    pub(crate) fn into_engine(self) -> (kyu_model::Guard, Option<String>) {
        let (key, attribute) = match self.key {
            GuardKey::Queue => (kyu_model::GuardKey::Queue, None),
            GuardKey::Lane => (kyu_model::GuardKey::Lane, None),
            GuardKey::Attribute(name) => (kyu_model::GuardKey::Attribute, Some(name)),
        };
        let Self { key: _, budget, breaker } = self;
        (kyu_model::Guard { key, budget, breaker }, attribute)
    }
}
