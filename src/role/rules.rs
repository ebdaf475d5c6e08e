//! The rules of the configuration, for the roles that need them: alerting all,
//! the ingester those that look for lines, `weir validate` to check them.

use anyhow::Result;

use crate::config::Config;

#[cfg(feature = "alerting")]
/// Every rule.
///
/// # Errors
/// The file, and what is wrong with it and where.
pub fn load(config: &Config) -> Result<weir_alerting::RuleSet> {
    Ok(weir_alerting::RuleSet::load(&config.alerting.rules)?)
}

#[cfg(all(feature = "alerting", feature = "ingest", feature = "query"))]
/// The rules that look for lines, compiled.
///
/// # Errors
/// Of a search, what is wrong with it.
pub fn log_rules(config: &Config) -> Result<Vec<weir_ingest::LogRule>> {
    use std::sync::Arc;

    use anyhow::Context;
    use weir_query::LogPredicate;

    let compile = |(rule, logs): (&weir_alerting::Rule, &weir_alerting::LogCondition)| {
        let predicate = LogPredicate::compile(&logs.search).map_err(|error| match error.hint() {
            Some(hint) => anyhow::anyhow!("{error}: {hint}"),
            None => anyhow::anyhow!("{error}"),
        });
        let predicate =
            predicate.with_context(|| format!("{}: rule {:?}: logs", rule.file.display(), rule.name))?;
        Ok(weir_ingest::LogRule { name: rule.id(), predicate: Arc::new(predicate) })
    };
    load(config)?.log_rules().map(compile).collect()
}

#[cfg(all(feature = "ingest", not(all(feature = "alerting", feature = "query"))))]
/// This build has no rules.
///
/// # Errors
/// When the configuration has some: they would never find a line.
pub fn log_rules(config: &Config) -> Result<Vec<weir_ingest::LogRule>> {
    let section = serde_json::to_value(&config.alerting)?;
    if section.get("rules").and_then(serde_json::Value::as_array).is_some_and(|rules| !rules.is_empty()) {
        anyhow::bail!(
            "alerting.rules is set, and this build cannot look for their lines: use one with all features"
        );
    }
    Ok(Vec::new())
}

/// Checks every rule as far as this build can.
///
/// # Errors
/// What is wrong, and where.
pub fn check(config: &Config) -> Result<()> {
    #[cfg(all(feature = "alerting", feature = "ingest", feature = "query"))]
    log_rules(config)?;
    #[cfg(all(feature = "alerting", not(all(feature = "ingest", feature = "query"))))]
    load(config)?;
    let _ = config;
    Ok(())
}
