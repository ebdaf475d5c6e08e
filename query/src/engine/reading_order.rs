//! Where only the first rows of an order are wanted, files are read in that
//! order.
//!
//! DataFusion does so for a plain scan: a `SortExec` with a limit asks its input
//! for the order, the newest files come first, and what they hold lets the
//! others be skipped unopened. A union of files and live rows does not pass the
//! question on; this rule does. Only the first column of the order is asked for:
//! of more, DataFusion would want statistics before it turns the files around.
//! The sort stays, so the answer does not depend on it.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions, SortOrderPushdownResult,
};

/// The rule of DataFusion after which this one has its place: before the rule
/// that hands the limit's moving threshold to the scans.
const AFTER: &str = "PushdownSort";

/// DataFusion's rules and this one.
pub(super) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::default().rules;
    let place = rules.iter().position(|rule| rule.name() == AFTER).map_or(rules.len(), |place| place + 1);
    rules.insert(place, Arc::new(ReadingOrder));
    rules
}

#[derive(Debug)]
struct ReadingOrder;

impl PhysicalOptimizerRule for ReadingOrder {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let Some(sort) = node.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_some()) else {
                return Ok(Transformed::no(node));
            };
            match read_in(sort.input(), sort.expr().first())? {
                Some(input) => Ok(Transformed::yes(with_children(&node, vec![input])?)),
                None => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "ReadingOrder"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan with its files read in an order; none when nothing changes.
fn read_in(
    plan: &Arc<dyn ExecutionPlan>,
    order: &PhysicalSortExpr,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if plan.downcast_ref::<DataSourceExec>().is_some() {
        return Ok(match plan.try_pushdown_sort(std::slice::from_ref(order))? {
            SortOrderPushdownResult::Inexact { inner } => Some(inner),
            SortOrderPushdownResult::Exact { .. } | SortOrderPushdownResult::Unsupported => None,
        });
    }
    if !is_transparent(plan.as_ref()) {
        return Ok(None);
    }
    let mut changed = false;
    let mut children = Vec::new();
    for child in plan.children() {
        let read = match below(order, child) {
            Some(order) => read_in(child, &order)?,
            None => None,
        };
        changed |= read.is_some();
        children.push(read.unwrap_or_else(|| child.clone()));
    }
    if changed { with_children(plan, children).map(Some) } else { Ok(None) }
}

fn with_children(
    plan: &Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    plan.clone().replace_children(children, options)
}

/// True for what works alike in whatever order its input comes.
fn is_transparent(plan: &dyn ExecutionPlan) -> bool {
    let merges = |repartition: &RepartitionExec| repartition.preserve_order();
    plan.downcast_ref::<UnionExec>().is_some()
        || plan.downcast_ref::<FilterExec>().is_some()
        || plan.downcast_ref::<ProjectionExec>().is_some()
        || plan.downcast_ref::<CooperativeExec>().is_some()
        || plan.downcast_ref::<RepartitionExec>().is_some_and(|repartition| !merges(repartition))
}

/// The order in the column of a child, found by name. A column that was renamed
/// on the way is another one: then the files are read in an order that does not
/// help, and the sort puts the rows right.
fn below(order: &PhysicalSortExpr, child: &Arc<dyn ExecutionPlan>) -> Option<PhysicalSortExpr> {
    let name = order.expr.downcast_ref::<Column>()?.name();
    let column = Column::new_with_schema(name, &child.schema()).ok()?;
    Some(PhysicalSortExpr::new(Arc::new(column), order.options))
}
