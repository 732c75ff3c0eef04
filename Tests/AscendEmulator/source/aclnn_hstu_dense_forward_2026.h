// The declaration of dense attention in a package of 2026, which supports only the padded layout: another list of
// operands under the old name.

__attribute__((visibility("default")))
aclnnStatus aclnnHstuDenseForwardGetWorkspaceSize(
    const aclTensor *q,
    const aclTensor *k,
    const aclTensor *v,
    const aclTensor *maskOptional,
    const aclTensor *attnBiasOptional,
    int64_t maskType,
    int64_t maxSeqlen,
    double siluScale,
    const aclTensor *attnOutput,
    uint64_t *workspaceSize,
    aclOpExecutor **executor);

__attribute__((visibility("default")))
aclnnStatus aclnnHstuDenseForward(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);
