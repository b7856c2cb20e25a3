//! The cluster's settings, from ours; nothing where there is no Redis.
//!
//! Checked before anything listens or is written: a URL or a certificate that cannot be is refused by
//! the name of its setting. Opens no socket.

use std::sync::Arc;

use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;

use super::StartError;
use super::node::Node;
use crate::clock::Clock;
use crate::cluster::{self, Cluster, LinkSettings, LinkSettingsError};
use crate::config::{Config, ConfigError, Loaded, StoreKind};

/// Refuses what no Redis could be reached with.
pub(super) fn check(loaded: &Loaded) -> Result<(), ConfigError> {
    let checked = link(&loaded.config).and_then(|link| link.map_or(Ok(()), |link| link.check()));
    checked.map_err(|LinkSettingsError { setting, problem }| loaded.refusal(setting, problem))
}

/// Joins the other instances, if there can be any.
pub(super) fn start(
    config: &Config,
    node: &Node,
    normaliser: &Arc<Normaliser>,
    clock: &Clock,
) -> Result<Option<Cluster>, StartError> {
    let refused = |error: LinkSettingsError| StartError::Refused(error.to_string());
    let Some(link) = link(config).map_err(refused)? else { return Ok(None) };
    let normaliser = Arc::clone(normaliser);
    let settings = cluster::Settings {
        link,
        node: Arc::clone(&node.id),
        name: Arc::clone(&node.name),
        views_max: config.limits.views,
        shares_store: config.store.kind == StoreKind::Mongodb,
        read_filter: Arc::new(move |text| Filter::parse(text, &normaliser).ok()),
    };
    Cluster::start(settings, clock.clone()).map(Some).map_err(refused)
}

fn link(config: &Config) -> Result<Option<LinkSettings>, LinkSettingsError> {
    let cluster = &config.cluster;
    let Some(url) = &cluster.redis_url else { return Ok(None) };
    let is_in_file = cluster.redis_url_file.is_some();
    let setting = if is_in_file { "cluster.redis_url_file" } else { "cluster.redis_url" };
    let mut link = LinkSettings::parse(setting, url.expose())?;
    link.ca_file.clone_from(&cluster.redis_ca_file);
    link.own_files = match (&cluster.redis_cert_file, &cluster.redis_key_file) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (Some(_), None) => return Err(missing("cluster.redis_key_file", "redis_cert_file")),
        (None, Some(_)) => return Err(missing("cluster.redis_cert_file", "redis_key_file")),
    };
    let prefix = cluster.redis_prefix.as_deref().unwrap_or_default();
    // It stands in keys beside braces and colons of ours.
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
    if prefix.is_empty() || prefix.len() > 64 || prefix.contains(is_odd) {
        let problem = "must be 1 to 64 letters, digits or - _ . :".to_owned();
        return Err(LinkSettingsError { setting: "cluster.redis_prefix", problem });
    }
    prefix.clone_into(&mut link.prefix);
    Ok(Some(link))
}

fn missing(setting: &'static str, other: &str) -> LinkSettingsError {
    LinkSettingsError { setting, problem: format!("cluster.{other} is set and needs this one too") }
}
