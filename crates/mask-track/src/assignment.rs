//! Which box belongs to which track.

use pathfinding::{kuhn_munkres::kuhn_munkres, matrix::Matrix};

/// Costs are compared to so many parts of one.
const PARTS: f64 = 1e6;

/// Pairs a row with a column at most once so that the sum of what each pair costs less than `limit` is
/// greatest; `cost` is of a row and a column. Pairs of the limit or more are never made.
pub(crate) fn assign(
    rows: usize,
    columns: usize,
    limit: f64,
    cost: impl Fn(usize, usize) -> f64,
) -> Vec<(usize, usize)> {
    if rows == 0 || columns == 0 {
        return Vec::new();
    }
    // The algorithm wants at least as many columns as rows.
    let flipped = rows > columns;
    let worth = |row: usize, column: usize| ((limit - cost(row, column)).max(0.0) * PARTS) as i64;
    let worths = if flipped {
        Matrix::from_fn(columns, rows, |(column, row)| worth(row, column))
    } else {
        Matrix::from_fn(rows, columns, |(row, column)| worth(row, column))
    };
    let (_, partners) = kuhn_munkres(&worths);
    let pairs = partners.into_iter().enumerate();
    let mut pairs: Vec<_> = pairs
        .map(|(a, b)| if flipped { (b, a) } else { (a, b) })
        .filter(|(row, column)| worth(*row, *column) > 0)
        .collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The best sum over all ways to pair, tried one after another.
    fn best(costs: &[Vec<f64>], limit: f64, row: usize, taken: &mut Vec<usize>) -> f64 {
        let Some(costs_of_row) = costs.get(row) else { return 0.0 };
        let mut most = best(costs, limit, row + 1, taken);
        for (column, cost) in costs_of_row.iter().enumerate() {
            if *cost < limit && !taken.contains(&column) {
                taken.push(column);
                most = most.max(limit - cost + best(costs, limit, row + 1, taken));
                taken.pop();
            }
        }
        most
    }

    proptest! {
        #[test]
        fn no_other_way_to_pair_is_better(
            costs in (1usize..5, 1usize..5).prop_flat_map(|(rows, columns)| {
                prop::collection::vec(prop::collection::vec(0.0f64..1.0, columns), rows)
            }),
            limit in 0.1f64..1.0,
        ) {
            let pairs = assign(costs.len(), costs[0].len(), limit, |row, column| costs[row][column]);
            let sum: f64 = pairs.iter().map(|(row, column)| limit - costs[*row][*column]).sum();
            prop_assert!((sum - best(&costs, limit, 0, &mut Vec::new())).abs() < 1e-4);
            let mut columns: Vec<_> = pairs.iter().map(|(_, column)| *column).collect();
            columns.sort_unstable();
            columns.dedup();
            prop_assert_eq!(columns.len(), pairs.len());
        }
    }
}
