// The declaration of jagged attention in a package of 2026, in the form of generated headers: the loader reads it as
// text, and nothing compiles it.

/* function: aclnnHstuJaggedForwardGetWorkspaceSize
 * parameters: q : required, …
 */
__attribute__((visibility("default")))
aclnnStatus aclnnHstuJaggedForwardGetWorkspaceSize(
    const aclTensor *q,
    const aclTensor *k,
    const aclTensor *v,
    const aclTensor *maskOptional,
    const aclTensor *attnBiasOptional,
    const aclTensor *seqOffsetQ,
    const aclTensor *seqOffsetKOptional,
    const aclTensor *numContextOptional,
    const aclTensor *numTargetOptional,
    int64_t maskType,
    int64_t maxSeqlenQ,
    int64_t maxSeqlenK,
    double siluScale,
    int64_t targetGroupSize,
    double alpha,
    bool deterministic,
    const aclTensor *attnOutput,
    uint64_t *workspaceSize,
    aclOpExecutor **executor);

__attribute__((visibility("default")))
aclnnStatus aclnnHstuJaggedForward(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);
