//! Who may publish which partition, and who is there.

use std::time::Duration;

use super::Connection;
use crate::catalog::row::{self, OwnerRow};
use crate::catalog::{CatalogError, Lease, LogPartition, Member, Owner, failed, reach, sql};

/// How long a member that no lease names is remembered after its time.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// Who has a partition while it is given up: no ingester's name.
const ABANDONING: &str = "weir dismiss";

/// Takes or renews. `now_micros` is of the clock that judges leases.
pub(super) async fn take(
    connection: &mut Connection,
    partition: &LogPartition,
    owner: &str,
    now_micros: i64,
    lasts: Duration,
) -> Result<Lease, CatalogError> {
    if owner.is_empty() {
        return Err(CatalogError::Invalid("a lease without an owner".to_owned()));
    }
    let taken: Option<(i64, i64)> = sqlx::query_as(sql::LEASE_TAKE)
        .bind(&partition.topic)
        .bind(i64::from(partition.partition))
        .bind(owner)
        .bind(later(now_micros, lasts))
        .bind(now_micros)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("take lease"))?;
    if let Some((epoch, until_micros)) = taken {
        return Ok(Lease { partition: partition.clone(), owner: owner.to_owned(), epoch, until_micros });
    }
    let (owner, _, until): (String, i64, i64) = sqlx::query_as(sql::LEASE_READ)
        .bind(&partition.topic)
        .bind(i64::from(partition.partition))
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("read lease"))?;
    let remaining = u64::try_from(until.saturating_sub(now_micros)).unwrap_or(0);
    Err(CatalogError::LeaseHeld {
        partition: partition.clone(),
        owner,
        remaining: Duration::from_micros(remaining),
    })
}

/// Forgets how far a partition is stored, and its lanes, unless somebody has it.
/// True when it was known.
pub(super) async fn abandon(
    connection: &mut Connection,
    partition: &LogPartition,
    now_micros: i64,
) -> Result<bool, CatalogError> {
    // The next epoch: whoever had it and wakes up is refused.
    let lease = take(connection, partition, ABANDONING, now_micros, Duration::ZERO).await?;
    release(connection, &lease).await?;
    let mut forgotten = 0;
    for statement in [sql::LANES_FORGET, sql::OFFSET_FORGET] {
        let forget = sqlx::query(statement).bind(&partition.topic).bind(i64::from(partition.partition));
        let done = forget.execute(&mut *connection).await.map_err(failed("forget the partition"))?;
        forgotten += done.rows_affected();
    }
    Ok(forgotten > 0)
}

pub(super) async fn release(connection: &mut Connection, lease: &Lease) -> Result<(), CatalogError> {
    reach("storage.release.before").map_err(failed("release lease"))?;
    sqlx::query(sql::LEASE_RELEASE)
        .bind(&lease.partition.topic)
        .bind(i64::from(lease.partition.partition))
        .bind(&lease.owner)
        .bind(lease.epoch)
        .execute(connection)
        .await
        .map_err(failed("release lease"))?;
    reach("storage.release.after").map_err(failed("release lease"))
}

pub(super) async fn owners(connection: &mut Connection) -> Result<Vec<Owner>, CatalogError> {
    let rows: Vec<OwnerRow> =
        sqlx::query_as(sql::OWNERS).fetch_all(connection).await.map_err(failed("read owners"))?;
    rows.into_iter().map(row::owner).collect()
}

/// Writes a member down and reads all. `now_micros` is of the clock that
/// judges members.
pub(super) async fn announce(
    connection: &mut Connection,
    member: &str,
    address: &str,
    now_micros: i64,
    lasts: Duration,
) -> Result<Vec<Member>, CatalogError> {
    if member.is_empty() {
        return Err(CatalogError::Invalid("a member without a name".to_owned()));
    }
    sqlx::query(sql::MEMBER_UPSERT)
        .bind(member)
        .bind(address)
        .bind(later(now_micros, lasts))
        .execute(&mut *connection)
        .await
        .map_err(failed("write member"))?;
    sqlx::query(sql::MEMBERS_FORGET)
        .bind(now_micros.saturating_sub(micros(FORGET_AFTER)))
        .execute(&mut *connection)
        .await
        .map_err(failed("forget members"))?;
    let members: Vec<(String, String, i64)> = sqlx::query_as(sql::MEMBERS)
        .bind(now_micros)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read members"))?;
    let members = members.into_iter();
    Ok(members.map(|(name, address, until_micros)| Member { name, address, until_micros }).collect())
}

pub(super) async fn depart(connection: &mut Connection, member: &str) -> Result<(), CatalogError> {
    let delete = sqlx::query(sql::MEMBER_DELETE).bind(member);
    delete.execute(connection).await.map_err(failed("delete member"))?;
    Ok(())
}

fn later(now_micros: i64, lasts: Duration) -> i64 {
    now_micros.saturating_add(micros(lasts))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
