//! Kinds that are served before there is a part of Minke that acts on them: whoever creates one is told.

/// What to tell the creator of an object; `None` where something acts on it.
pub(crate) fn warning(group: &str, plural: &str) -> Option<&'static str> {
    Some(match (group, plural) {
        ("", "services") => {
            "the Service gets its addresses and ports, but this version carries no traffic to its pods yet"
        }
        ("", "endpoints") => "this version carries no traffic to Endpoints yet",
        ("discovery.k8s.io", _) => "this version carries no traffic to EndpointSlices yet",
        ("networking.k8s.io", "networkpolicies") => {
            "this version carries no traffic between pods yet, so nothing is kept apart"
        }
        ("networking.k8s.io", _) => "no controller of this version serves Ingresses yet",
        ("apps", "controllerrevisions") => "nothing in this version reads ControllerRevisions yet",
        ("", "replicationcontrollers") | ("apps" | "batch", _) => "no controller of this version makes its pods yet",
        ("autoscaling", _) => "no controller of this version scales anything yet",
        ("", "persistentvolumes" | "persistentvolumeclaims") => {
            "no controller of this version binds claims to volumes, and pods cannot use them yet"
        }
        ("policy", _) => "evictions of this version do not ask budgets yet",
        ("storage.k8s.io", _) => "nothing in this version makes or attaches volumes yet",
        _ => return None,
    })
}
