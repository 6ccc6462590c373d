//! The exchanges of a run, and where each publication must go: said once more, and more simply than
//! the engine says it.

use bytes::Bytes;
use kyu_broker::{
    Bind, BindingConfig, BodyFacts, Command, Condition, CreateExchange, DedupScope, ExchangeConfig,
    Facts, Filter, Literal, Matcher, Publication, QueueKind, QueueName, Test, Value,
};

use crate::cast::Role;

/// The colour of a publication, for matchers to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red,
    Green,
    Blue,
}

impl Colour {
    pub(crate) const ALL: [Self; 3] = [Self::Red, Self::Green, Self::Blue];

    fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Green => "green",
            Self::Blue => "blue",
        }
    }

    /// Returns the colour of a publication.
    pub(crate) fn of(publication: &Publication) -> Option<Self> {
        let found = publication.facts.attributes.get("colour")?;
        Self::ALL.into_iter().find(|one| found.contains(&Value::Text(one.name().into())))
    }

    fn facts(self) -> Facts {
        let colour = ("colour".to_owned(), vec![Value::Text(self.name().to_owned())]);
        Facts { attributes: [colour].into(), body: BodyFacts::Unread }
    }
}

/// An exchange that lives as long as the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Standard,
    Ordered,
}

/// A binding: the queue, the colours it wants (all, if there is none), whether it delivers bare.
pub(crate) type Route = (Role, &'static [Colour], bool);

impl Topic {
    pub(crate) const ALL: [Self; 2] = [Self::Standard, Self::Ordered];

    pub(crate) fn routes(self) -> &'static [Route] {
        match self {
            Self::Standard => &[
                (Role::Plain, &[], false),
                (Role::Lettered, &[Colour::Red], true),
                (Role::Bounded, &[Colour::Red, Colour::Blue], false),
            ],
            Self::Ordered => &[
                (Role::Ordered, &[], false),
                (Role::OrderedLettered, &[Colour::Red, Colour::Green], true),
                (Role::Plain, &[Colour::Blue], false),
            ],
        }
    }

    pub(crate) fn name(self) -> QueueName {
        QueueName { namespace: "sim".into(), name: format!("topic-{self:?}") }
    }

    pub(crate) fn named(name: &QueueName) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == *name)
    }

    /// Returns the roles of the queues that a publication goes to.
    pub(crate) fn roles_of(self, publication: &Publication) -> Vec<Role> {
        let colour = Colour::of(publication);
        let wants = |(_, colours, _): &&Route| {
            colours.is_empty() || colour.is_some_and(|colour| colours.contains(&colour))
        };
        self.routes().iter().filter(wants).map(|(role, _, _)| *role).collect()
    }

    /// The commands that make the exchange and its bindings.
    pub(crate) fn founding(self) -> Vec<Command> {
        let kind = if self == Self::Ordered { QueueKind::Fifo } else { QueueKind::Standard };
        let config = ExchangeConfig {
            kind,
            dedup_scope: DedupScope::Queue,
            max_message_bytes: u32::MAX,
            ..ExchangeConfig::default()
        };
        let create = Command::CreateExchange(CreateExchange { name: self.name(), config });
        let bindings = self.routes().iter().map(|route| Command::Bind(self.binding(route)));
        std::iter::once(create).chain(bindings).collect()
    }

    fn binding(self, (role, colours, bare): &Route) -> Bind {
        let is = |colour: &Colour| Condition::Is(Literal::Text(colour.name().into()));
        let conditions: Vec<_> = colours.iter().map(is).collect();
        let test = Test { path: "colour".into(), conditions };
        let matcher = match colours {
            [] => Matcher::Everything,
            _ => Matcher::Attributes(Filter { alternatives: vec![vec![test]] }),
        };
        self.bind(role.name(0), matcher, *bare)
    }

    /// A binding that no publication passes; it only comes and goes.
    pub(crate) fn idle_binding(self, number: u64) -> Bind {
        let name = format!("idle-{number}");
        let target = QueueName { namespace: "sim".into(), name };
        self.bind(target, Matcher::Attributes(Filter { alternatives: Vec::new() }), false)
    }

    fn bind(self, target: QueueName, matcher: Matcher, bare: bool) -> Bind {
        let config = BindingConfig {
            protocol: "sim".into(),
            address: target.name.clone(),
            target,
            matcher,
            bare,
            active: true,
            dead_letter: None,
            attributes: Default::default(),
        };
        Bind { exchange: self.name(), config }
    }

    /// A publication of a content.
    pub(crate) fn publication(
        self,
        content: Bytes,
        colour: Colour,
        lane: Option<String>,
        dedup_id: Option<String>,
    ) -> Publication {
        Publication {
            size_bytes: u32::try_from(content.len()).unwrap_or(u32::MAX),
            content,
            facts: colour.facts(),
            bare_allowed: true,
            lane,
            dedup_id,
            content_dedup_id: None,
        }
    }
}
