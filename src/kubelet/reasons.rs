//! The words that users see in statuses and Events: Kubernetes' own, each once.

/// The last container exit, start or setup went into a growing wait.
pub(crate) const CRASH_LOOP_BACK_OFF: &str = "CrashLoopBackOff";
/// Nothing is wrong; the container's turn has not come.
pub(crate) const CONTAINER_CREATING: &str = "ContainerCreating";
/// The same in a pod with init containers.
pub(crate) const POD_INITIALIZING: &str = "PodInitializing";
/// A pull failed just now.
pub(crate) const ERR_IMAGE_PULL: &str = "ErrImagePull";
/// A pull failed before; the next try is awaited.
pub(crate) const IMAGE_PULL_BACK_OFF: &str = "ImagePullBackOff";
/// The policy is Never and the image is not here.
pub(crate) const ERR_IMAGE_NEVER_PULL: &str = "ErrImageNeverPull";
/// The image's name cannot be read.
pub(crate) const INVALID_IMAGE_NAME: &str = "InvalidImageName";
/// A reference of the container (environment, mount) cannot be resolved.
pub(crate) const CREATE_CONTAINER_CONFIG_ERROR: &str = "CreateContainerConfigError";
/// The code cannot be made ready.
pub(crate) const CREATE_CONTAINER_ERROR: &str = "CreateContainerError";
/// The sandbox cannot be started.
pub(crate) const RUN_CONTAINER_ERROR: &str = "RunContainerError";
/// A container's exit with 0.
pub(crate) const COMPLETED: &str = "Completed";
/// A container's exit with anything else, a trap, or its end by force.
pub(crate) const ERROR: &str = "Error";
/// A container grew beyond its memory limit.
pub(crate) const OOM_KILLED: &str = "OOMKilled";
/// A pod or container took longer than it may.
pub(crate) const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
/// A container of which the node does not know how it ended.
pub(crate) const CONTAINER_STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

/// Reasons of Events alone.
pub(crate) mod event {
    pub(crate) const PULLING: &str = "Pulling";
    pub(crate) const PULLED: &str = "Pulled";
    pub(crate) const CREATED: &str = "Created";
    pub(crate) const STARTED: &str = "Started";
    pub(crate) const FAILED: &str = "Failed";
    pub(crate) const KILLING: &str = "Killing";
    pub(crate) const BACK_OFF: &str = "BackOff";
    pub(crate) const INSPECT_FAILED: &str = "InspectFailed";
    pub(crate) const FAILED_MOUNT: &str = "FailedMount";
    pub(crate) const FAILED_CREATE_POD_SANDBOX: &str = "FailedCreatePodSandBox";
    pub(crate) const INVALID_ENVIRONMENT_VARIABLE_NAMES: &str = "InvalidEnvironmentVariableNames";
    pub(crate) const FAILED_TO_RETRIEVE_IMAGE_PULL_SECRET: &str = "FailedToRetrieveImagePullSecret";
    pub(crate) const STARTING: &str = "Starting";
}
