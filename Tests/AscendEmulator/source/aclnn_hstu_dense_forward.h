// The declarations of a package of fused attention, in the form of generated headers: the loader reads them as text,
// and nothing compiles them. Packages whose call has `deterministic` keep the line that declares it.

/* function: aclnnHstuDenseForwardGetWorkspaceSize
 * parameters: q : required, …
 */
__attribute__((visibility("default")))
aclnnStatus aclnnHstuDenseForwardGetWorkspaceSize(
    const aclTensor *q,
    const aclTensor *k,
    const aclTensor *v,
    const aclTensor *maskOptional,
    const aclTensor *attnBiasOptional,
    const aclTensor *seqOffsetQ,
    const aclTensor *seqOffsetKOptional,
    const aclTensor *seqOffsetTOptional,
    const aclTensor *kvCacheOptional,
    const aclTensor *pageOffsetsOptional,
    const aclTensor *pageIdsOptional,
    const aclTensor *lastPageLenOptional,
    const aclTensor *numContextOptional,
    const aclTensor *numTargetOptional,
    int64_t maskType,
    int64_t maxSeqlenQ,
    int64_t maxSeqlenK,
    double siluScale,
    char *layout,
    int64_t targetGroupSizeOptional,
    int64_t isDeltaQkOptional,
    double alpha,
    bool deterministic,
    const aclTensor *attnOutput,
    uint64_t *workspaceSize,
    aclOpExecutor **executor);

__attribute__((visibility("default")))
aclnnStatus aclnnHstuDenseForward(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);
