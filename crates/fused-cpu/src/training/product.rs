//! Matrix products on slices.
#![allow(unsafe_code, reason = "the product is a foreign kernel on pointers; extents are asserted")]

/// A matrix in a slice: where it begins, and the floats from row to row and from column to column.
#[derive(Clone, Copy)]
pub(super) struct Strided {
    pub(super) start: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Strided {
    /// Rows of so many floats, one behind the other.
    pub(super) fn rows(floats: usize) -> Self {
        Self { start: 0, row: floats, column: 1 }
    }

    /// The same elsewhere in the slice.
    pub(super) fn at(self, start: usize) -> Self {
        Self { start, ..self }
    }

    /// The slice must be as long, so that every element of `rows` x `columns` lies in it.
    fn end(&self, rows: usize, columns: usize) -> usize {
        self.start + (rows - 1) * self.row + (columns - 1) * self.column + 1
    }
}

/// `rows` x `columns` of the product of `left` and `right`, which share `inner`, written to
/// `target`, or added to it.
///
/// # Panics
/// If an element of a matrix lies outside its slice, or two elements of the target are the same.
pub(super) fn multiply(
    [rows, inner, columns]: [usize; 3],
    (left, left_at): (&[f32], Strided),
    (right, right_at): (&[f32], Strided),
    (target, target_at): (&mut [f32], Strided),
    add: bool,
) {
    if rows == 0 || columns == 0 || inner == 0 {
        return;
    }
    assert!(left_at.end(rows, inner) <= left.len());
    assert!(right_at.end(inner, columns) <= right.len());
    assert!(target_at.end(rows, columns) <= target.len());
    let distinct = target_at.row > (columns - 1) * target_at.column
        || target_at.column > (rows - 1) * target_at.row;
    assert!(distinct);
    let stride = |floats: usize| floats as isize;
    // SAFETY: all elements lie in their slices, and those of the target, which is borrowed
    // exclusively, are distinct.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            target.as_mut_ptr().add(target_at.start),
            stride(target_at.column),
            stride(target_at.row),
            add,
            left.as_ptr().add(left_at.start),
            stride(left_at.column),
            stride(left_at.row),
            right.as_ptr().add(right_at.start),
            stride(right_at.column),
            stride(right_at.row),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
