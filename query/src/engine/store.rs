//! The one object store that a question can reach.
//!
//! DataFusion's registry answers for `file://` unless told otherwise; here it
//! knows the tables' objects under one name and nothing else, so that no plan,
//! however it came to be, reads another file.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStore;

/// The store's name as plans want it.
pub(super) fn url() -> ObjectStoreUrl {
    ObjectStoreUrl::parse("weir://objects").expect("a constant that is a URL")
}

/// Makes `objects` the only store of the runtime.
pub(super) fn install(runtime: &RuntimeEnv, objects: Arc<dyn ObjectStore>) -> Result<()> {
    runtime.register_object_store(url().as_ref(), objects);
    runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn no_other_store_can_be_reached() {
        let runtime = RuntimeEnv::default();
        install(&runtime, Arc::new(InMemory::new())).expect("installed");
        assert!(runtime.object_store(url()).is_ok());
        for other in ["file://", "weir://other", "http://localhost", "s3://bucket"] {
            let other = ObjectStoreUrl::parse(other).expect("a URL");
            assert!(runtime.object_store(&other).is_err(), "{other:?}");
        }
    }
}
