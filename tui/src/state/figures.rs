//! The daemon's own figures, as its metrics give them: the last reading, and the one before it for
//! what is shown as a rate. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

/// By metric name, or by name and labels as Prometheus writes them.
pub type Metrics = BTreeMap<String, f64>;

#[derive(Clone, Debug)]
struct Reading {
    at_ms: u64,
    metrics: Arc<Metrics>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    now: Option<Reading>,
    before: Option<Reading>,
    /// Why there are none, or no newer ones.
    trouble: Option<String>,
}

impl Figures {
    /// Takes a reading.
    pub fn read(&mut self, metrics: Arc<Metrics>, at_ms: u64) {
        self.before = self.now.replace(Reading { at_ms, metrics });
        self.trouble = None;
    }

    /// There is no newer reading, with the reason.
    pub fn failed(&mut self, reason: String) {
        self.trouble = Some(reason);
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Why there are none, or no newer ones.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether anything was read.
    pub fn is_empty(&self) -> bool {
        self.now.is_none()
    }

    /// A metric, the values of all its labels together; `None` where the daemon has none.
    pub fn value(&self, name: &str) -> Option<f64> {
        total(&self.now.as_ref()?.metrics, name)
    }

    /// How much a counter grew a second between the last two readings. A daemon that started anew
    /// counts from 0 again: then there is no answer.
    pub fn rate(&self, name: &str) -> Option<f64> {
        let (grew, seconds) = self.grew(name)?;
        Some(grew / seconds)
    }

    /// The mean of what a histogram measured between the last two readings.
    pub fn mean(&self, name: &str) -> Option<f64> {
        let (count, _) = self.grew(&format!("{name}_count"))?;
        let (sum, _) = self.grew(&format!("{name}_sum"))?;
        (count > 0.0).then(|| sum / count)
    }

    fn grew(&self, name: &str) -> Option<(f64, f64)> {
        let (now, before) = (self.now.as_ref()?, self.before.as_ref()?);
        let seconds = now.at_ms.saturating_sub(before.at_ms) as f64 / 1_000.0;
        let grew = total(&now.metrics, name)? - total(&before.metrics, name)?;
        (seconds > 0.0 && grew >= 0.0).then_some((grew, seconds))
    }
}

fn total(metrics: &Metrics, name: &str) -> Option<f64> {
    let labelled = metrics
        .range(name.to_owned()..)
        .take_while(|(key, _)| key.starts_with(name))
        .filter(|(key, _)| key.len() == name.len() || key[name.len()..].starts_with('{'))
        .map(|(_, value)| *value);
    labelled.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(metrics: &[(&str, f64)]) -> Arc<Metrics> {
        Arc::new(metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
    }

    #[test]
    fn rates_and_means_are_of_the_time_between_two_readings() {
        let mut figures = Figures::default();
        assert_eq!(figures.value("a_total"), None);
        figures.read(reading(&[("a_total", 100.0), ("t_sum", 1.0), ("t_count", 10.0)]), 1_000);
        assert_eq!((figures.value("a_total"), figures.rate("a_total")), (Some(100.0), None));
        figures.read(reading(&[("a_total", 150.0), ("t_sum", 2.0), ("t_count", 14.0)]), 3_000);
        assert_eq!((figures.rate("a_total"), figures.mean("t")), (Some(25.0), Some(0.25)));
        figures.read(reading(&[("a_total", 3.0), ("t_sum", 0.0), ("t_count", 0.0)]), 5_000);
        assert_eq!(figures.rate("a_total"), None, "the daemon started anew");
    }

    #[test]
    fn labels_are_added_up_and_longer_names_are_not() {
        let mut figures = Figures::default();
        let metrics = [("n", 1.0), ("n_more", 50.0), ("n{of=\"a\"}", 2.0), ("n{of=\"b\"}", 3.0)];
        figures.read(reading(&metrics), 0);
        assert_eq!(figures.value("n"), Some(6.0));
        assert_eq!(figures.value("n{of=\"b\"}"), Some(3.0));
    }
}
