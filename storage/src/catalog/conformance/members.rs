//! Who is there, and where the owner of a partition is to be found.

use super::{LASTS, Store, partition, take};
use crate::catalog::{CatalogError, Member};

fn names(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.name.as_str()).collect()
}

pub(super) async fn members_are_those_whose_time_runs(store: &impl Store) {
    let (a, b) = (store.open().await, store.open().await);
    let alone = b.announce("b", "http://b:1", store.now(), LASTS).await.expect("announce");
    assert_eq!(names(&alone), ["b"]);
    store.pass(LASTS / 2).await;
    let both = a.announce("a", "http://a:1", store.now(), LASTS).await.expect("announce");
    assert_eq!(names(&both), ["a", "b"], "by name");
    assert_eq!(both[1].address, "http://b:1");
    assert!(both[0].until_micros > both[1].until_micros, "{both:?}");
    // b moves, and lasts on from now.
    b.announce("b", "http://b:2", store.now(), LASTS).await.expect("announce");
    store.pass(LASTS * 3 / 4).await;
    let both = b.announce("b", "http://b:2", store.now(), LASTS).await.expect("announce");
    assert_eq!(names(&both), ["a", "b"]);
    store.pass(LASTS / 2).await;
    let rest = b.announce("b", "http://b:2", store.now(), LASTS).await.expect("announce");
    assert_eq!(names(&rest), ["b"], "a has not been heard of");
    assert_eq!(rest[0].address, "http://b:2");
    b.depart("b").await.expect("depart");
    b.depart("b").await.expect("whoever is gone can go");
    let back = a.announce("a", "http://a:1", store.now(), LASTS).await.expect("announce");
    assert_eq!(names(&back), ["a"]);
    let nobody = a.announce("", "", store.now(), LASTS).await;
    assert!(matches!(nobody, Err(CatalogError::Invalid(_))), "{nobody:?}");
}

pub(super) async fn owners_are_found_by_their_address(store: &impl Store) {
    let catalog = store.open().await;
    assert_eq!(catalog.owners().await.expect("owners"), []);
    catalog.announce("a", "http://a:1", store.now(), LASTS).await.expect("announce");
    let second = take(store, &*catalog, 1, "a").await;
    let first = take(store, &*catalog, 0, "b").await;
    let found = || async {
        let owners = catalog.owners().await.expect("owners").into_iter();
        let found = owners.map(|owner| (owner.lease.partition, owner.lease.owner, owner.address));
        found.collect::<Vec<_>>()
    };
    let at = |address: &str| Some(address.to_owned());
    let (zero, one) = (partition(0), partition(1));
    let of = |name: &str| name.to_owned();
    let expected = [(zero.clone(), of("b"), None), (one.clone(), of("a"), at("http://a:1"))];
    assert_eq!(found().await, expected, "by partition; b never said where it is");
    let epochs: Vec<_> =
        catalog.owners().await.expect("owners").iter().map(|owner| owner.lease.epoch).collect();
    assert_eq!(epochs, [first.epoch, second.epoch]);

    // Long silent: nobody took its partition, so it is still where that was.
    store.pass(LASTS * 20).await;
    catalog.announce("b", "http://b:1", store.now(), LASTS).await.expect("announce");
    let expected = [(zero.clone(), of("b"), at("http://b:1")), (one.clone(), of("a"), at("http://a:1"))];
    assert_eq!(found().await, expected);
    take(store, &*catalog, 1, "b").await;
    catalog.release(&first).await.expect("release");
    assert_eq!(found().await, [(one.clone(), of("b"), at("http://b:1"))], "a released one has no owner");
    catalog.depart("b").await.expect("depart");
    assert_eq!(found().await, [(one, of("b"), None)]);
}
