//! A plan with a pool of workspaces, usable from several threads.

use std::sync::{Mutex, PoisonError};

use crate::{Plan, RunError, Workspace};

/// A plan that several threads may run at once, each in a workspace of its own.
///
/// Workspaces are kept between runs: there are as many as there ever were runs at the same time,
/// until [`SharedPlan::trim`].
#[derive(Debug)]
pub struct SharedPlan {
    plan: Plan,
    idle: Mutex<Vec<Workspace>>,
}

impl SharedPlan {
    /// Shares a plan.
    pub fn new(plan: Plan) -> Self {
        Self { plan, idle: Mutex::new(Vec::new()) }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the plan as [`Plan::run`] does and shows the workspace with the outputs to `read`.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn run<T>(
        &self,
        input: &[f32],
        shape: [usize; 4],
        read: impl FnOnce(&Workspace) -> T,
    ) -> Result<T, RunError> {
        let mut workspace = self.idle().pop().unwrap_or_default();
        let result = self.plan.run(&mut workspace, input, shape).map(|()| read(&workspace));
        self.idle().push(workspace);
        result
    }

    /// Returns the memory of all idle workspaces.
    pub fn trim(&self) {
        self.idle().clear();
    }

    /// Bytes held by idle workspaces.
    pub fn workspace_bytes(&self) -> usize {
        self.idle().iter().map(Workspace::bytes).sum()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        // A panic elsewhere leaves the list of idle workspaces whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
