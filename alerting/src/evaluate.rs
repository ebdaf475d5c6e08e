//! From what a rule found and what was known to what is known now: pure.
//!
//! ```text
//!            true            true for `for`
//! (nothing) ------> pending ----------------> firing --+ true again after `repeat_interval`: told again
//!     ^                |                       |   ^---+
//!     +----------------+ not true              | not true for `keep_firing_for`
//!     +----------------------------------------+ resolved
//! ```

use std::collections::BTreeMap;

use crate::instance::{Instance, Phase, Sample};
use crate::label::fingerprint;

/// The instances of a rule by the fingerprints of their labels.
pub(crate) type Instances = BTreeMap<String, Instance>;

/// The times of a rule, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// How long it must be true before it fires.
    pub(crate) for_micros: i64,
    /// How long it fires on after it was last true.
    pub(crate) keep_firing_micros: i64,
    /// How long until it is told again.
    pub(crate) repeat_micros: i64,
    /// How many instances there may be.
    pub(crate) limit: usize,
}

/// What people are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    /// It fires, as it did before.
    Repeated,
    /// It fires.
    Fired,
    /// It is over.
    Resolved,
}

/// A change that people are to be told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transition {
    pub(crate) news: News,
    pub(crate) instance: Instance,
    /// When it was over.
    pub(crate) ends_micros: Option<i64>,
}

/// What an evaluation came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) transitions: Vec<Transition>,
    /// Instances that were new and beyond the limit.
    pub(crate) beyond_limit: usize,
}

/// How a sample's value joins the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// The newest counts.
    Replace,
    /// They are counts of different things, and add up.
    Add,
}

impl Timing {
    /// Takes in what is true at a time; what is not among it is not true.
    pub(crate) fn evaluate(
        &self,
        instances: &mut Instances,
        samples: Vec<Sample>,
        at_micros: i64,
        is_complete: bool,
    ) -> Outcome {
        let mut outcome = self.seen(instances, samples, at_micros, is_complete, Values::Replace);
        outcome.transitions.extend(self.expired(instances, at_micros));
        outcome
    }

    /// Takes in what is true; of the rest nothing is said.
    pub(crate) fn seen(
        &self,
        instances: &mut Instances,
        samples: Vec<Sample>,
        at_micros: i64,
        is_complete: bool,
        values: Values,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        for sample in samples {
            let key = fingerprint(&sample.labels);
            if !instances.contains_key(&key) && instances.len() >= self.limit {
                outcome.beyond_limit += 1;
                continue;
            }
            let instance = instances.entry(key).or_insert_with(|| begin(&sample, at_micros));
            instance.value = match values {
                Values::Add if instance.last_micros != i64::MIN => instance.value + sample.value,
                _ => sample.value,
            };
            instance.last_micros = at_micros;
            instance.annotations = sample.annotations;
            instance.sample = sample.row;
            instance.incomplete = !is_complete;
            outcome.transitions.extend(self.advance(instance, at_micros));
        }
        outcome
    }

    fn advance(&self, instance: &mut Instance, at_micros: i64) -> Option<Transition> {
        let news = match instance.phase {
            Phase::Pending if at_micros - instance.active_micros >= self.for_micros => {
                instance.phase = Phase::Firing;
                instance.fired_micros = Some(at_micros);
                News::Fired
            }
            Phase::Firing
                if instance.told_micros.is_some_and(|told| at_micros - told >= self.repeat_micros) =>
            {
                News::Repeated
            }
            Phase::Pending | Phase::Firing => return None,
        };
        instance.told_micros = Some(at_micros);
        Some(Transition { news, instance: instance.clone(), ends_micros: None })
    }

    /// Ends what was not seen true at this time and has waited long enough.
    pub(crate) fn expired(&self, instances: &mut Instances, at_micros: i64) -> Vec<Transition> {
        let is_over = |instance: &Instance| match instance.phase {
            Phase::Pending => instance.last_micros < at_micros,
            Phase::Firing => {
                instance.last_micros < at_micros
                    && at_micros - instance.last_micros >= self.keep_firing_micros
            }
        };
        let over = instances.extract_if(.., |_, instance| is_over(instance)).map(|(_, instance)| instance);
        over.filter(|instance| instance.phase == Phase::Firing)
            .map(|instance| resolved(instance, at_micros))
            .collect()
    }
}

/// What is told of an instance that is over.
pub(crate) fn resolved(instance: Instance, at_micros: i64) -> Transition {
    Transition { news: News::Resolved, instance, ends_micros: Some(at_micros) }
}

fn begin(sample: &Sample, at_micros: i64) -> Instance {
    Instance {
        labels: sample.labels.clone(),
        annotations: sample.annotations.clone(),
        phase: Phase::Pending,
        active_micros: at_micros,
        fired_micros: None,
        last_micros: i64::MIN,
        told_micros: None,
        value: 0.0,
        sample: None,
        incomplete: false,
    }
}

#[cfg(test)]
mod tests;
