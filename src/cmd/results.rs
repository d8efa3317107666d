//! Where stored runs are looked for: in a directory that is named, in the results of one cluster, or in those of all
//! clusters of this machine.

use std::path::{Path, PathBuf};

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::ClusterName;
use crate::cluster::cluster_name;
use crate::runs::Store;
use crate::state::StateRoot;

/// Where the runs are that a verb reads.
#[derive(Clone, Debug, clap::Args)]
pub struct ResultsArgs {
    /// Only results of this cluster, which need not exist any more [default: of all clusters]
    #[arg(short = 'c', long, value_name = "NAME", conflicts_with = "results")]
    pub cluster: Option<ClusterName>,
    /// Directory of the runs [default: those of the clusters of this machine]
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
}

impl ResultsArgs {
    /// The stores that these arguments name.
    pub(super) fn stores(&self) -> anyhow::Result<Vec<Store>> {
        let cluster = self.cluster.as_ref().map(ClusterName::as_str);
        stores(self.results.as_deref(), cluster)
    }
}

/// The directory that is named, else the results of a cluster (by its name or topology file), else those of all clusters.
pub(super) fn stores(results: Option<&Path>, cluster: Option<&str>) -> anyhow::Result<Vec<Store>> {
    match results {
        Some(path) if path.is_dir() => Ok(vec![Store::at(path.to_owned())]),
        Some(path) => {
            let text = format!("there is no directory {}", path.display());
            let hint = "name the directory that `vcluster run`, `test` or `scale` wrote its runs to";
            Err(UserError::new(ExitCode::Usage, text).with_hint(hint).into())
        }
        None => of_clusters(&StateRoot::from_env()?, cluster),
    }
}

/// The results of this cluster, or of all. A cluster that is neither recorded here nor has results is an error.
fn of_clusters(root: &StateRoot, cluster: Option<&str>) -> anyhow::Result<Vec<Store>> {
    let found = root.results()?;
    let Some(cluster) = cluster else {
        return Ok(found.into_iter().map(|(_, path)| Store::at(path)).collect());
    };
    let name = cluster_name(Some(cluster), root)?;
    let directory = root.cluster(&name);
    if !directory.exists() && found.iter().all(|(known, _)| *known != name) {
        return Err(root.unknown(&name)?.into());
    }
    // Also without results, so that an error about a run names the place that was searched.
    Ok(vec![Store::at(directory.join("results"))])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn texts(stores: &[Store], root: &Path) -> Vec<String> {
        let below = stores
            .iter()
            .map(|store| store.path().strip_prefix(root).unwrap());
        below.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_results_of_a_cluster_are_found_while_it_is_up_and_when_it_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let root = StateRoot::at(temp.path().to_owned());
        let found = |cluster| of_clusters(&root, cluster).map(|stores| texts(&stores, temp.path()));
        assert!(found(None).unwrap().is_empty());
        for run in ["gone/results/1", "live/results/1", "new"] {
            fs::create_dir_all(temp.path().join(run)).unwrap();
        }
        for cluster in ["live", "new"] {
            fs::write(temp.path().join(cluster).join("cluster.json"), "{}").unwrap();
        }
        assert_eq!(found(None).unwrap(), ["gone/results", "live/results"]);
        for cluster in ["gone", "live", "new"] {
            let expected = format!("{cluster}/results");
            assert_eq!(found(Some(cluster)).unwrap(), [expected], "{cluster}");
        }
        let error = found(Some("other")).unwrap_err().to_string();
        assert!(error.contains("`other`"), "{error}");
    }

    #[test]
    fn a_directory_that_is_named_must_exist() {
        let temp = tempfile::tempdir().unwrap();
        let found = stores(Some(temp.path()), Some("not looked at")).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path(), temp.path());
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file, temp.path().join("none")] {
            let error = stores(Some(&path), None).unwrap_err().to_string();
            assert_eq!(error, format!("there is no directory {}", path.display()));
        }
    }
}
