//! Suggestions for unknown names.

/// The known name nearest to an unknown one, if it is similar enough to be a typing error.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().min(name.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint for an unknown name: `did you mean ...?` or the list of known names.
pub(crate) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    const SHOWN: usize = 12;
    if name.len() <= 64
        && let Some(near) = nearest(name, known.clone().into_iter().take(5_000))
    {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut names: Vec<&str> = known.into_iter().take(SHOWN + 1).collect();
    if names.is_empty() {
        return None;
    }
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    names.truncate(SHOWN);
    Some(format!("known names: {}{more}", names.join(", ")))
}
