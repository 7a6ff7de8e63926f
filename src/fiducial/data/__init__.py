"""Where cases come from, and how they become batches.

    source            the contract: a table of cases, what an image is like, the pixels of one case
    medmnist          the 18 MedMNIST v2 sets
    medmnist_sets     facts of these sets
    mednist           MONAI's tutorial set
    image_folder      folders of images, a class each
    table             a CSV of image files
    columns           further columns of it, which come with the image
    phantom           synthetic images
    anatomy           the body and the lesions that they show
    phantom_masks, phantom_boxes, phantom_modalities, phantom_table
                      synthetic images with masks, with boxes, of two modalities, with columns

    masked            the contract of sources with masks
    sample            one case of such a source: image, mask, region, geometry
    drive, chase_db1  fundus photographs with vessels
    decathlon, nnunet_raw, mask_table
                      volumes or pictures with masks
    volume_files      what these three share
    volumes           NIfTI read, masks written
    boxed             the contract of sources with boxes
    boxes             boxes in pixels, and how they follow an image that is resized
    box_table         a CSV of image files and one of boxes
    box_lines         the lines of the latter

    files             what sources of image files share
    csv_lines         the lines of a CSV file
    subject_pattern   which part of a name is the subject
    images            one image file as an array of the size and range that a run needs
    formats           the stored values of one file
    image_header      what a file tells without its pixels
    room              whether an image fits into memory
    pack              many small image files as one array, decoded once
    unpack            arrays of an .npz file as one mapped file
    dicom             DICOM studies as cases
    download          files from elsewhere, verified
    archive           archives from elsewhere, unpacked

    splits            splits by subject
    split_file        a file that says which split a case belongs to
    assignment        which split each case is in, by source or configuration
    checks            what a table of cases must satisfy
    gate              what a run passes before it learns
    leakage           images that two splits share
    perceptual        images that show the same
    survey            every image of a source read once

    module            source → splits → loaders → batches
    dataset           cases as batches of tensors
    sampler           which cases form each batch
    augment           augmentation of a batch
    balance           how many cases each class has, and weights
    modalities        channels that are taken for missing
    preparation       a case with masks as the network sees it
    prepared          such cases, kept on disk
    patches           batches of patches
    sides             what mirroring does to left and right
    kept              images that are in memory already

Nothing above `module` imports torch: a configuration is checked against a source before torch is loaded.
"""
