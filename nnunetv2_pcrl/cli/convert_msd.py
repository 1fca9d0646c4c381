"""nnUNetv2_pcrl_convert_msd: an archive of the Medical Segmentation Decathlon, by nnU-Net."""

from collections.abc import Sequence

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.convert import build_parser, print_report
from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.cli.num_processes import num_processes


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = build_parser(
        "nnUNetv2_pcrl_convert_msd",
        "Converts a task of the Medical Segmentation Decathlon (its folder TaskNN_Name, or its "
        "archive under any name) by nnU-Net's own converter, and checks the result.",
    )
    parser.add_argument("-d", type=int, metavar="ID", help="number (default: that of the task)")
    about = "succeed although the folder holds a part of the task"
    parser.add_argument("--subset", action="store_true", help=about)
    args = parsed(parser, arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.preparation.msd_check import check_task
    from nnunetv2_pcrl.preparation.msd_conversion import convert_task, link_equal_files
    from nnunetv2_pcrl.preparation.msd_task import read_published, task_folder

    with exit_with_error():
        processes = num_processes(args.np)
        source = task_folder(args.source)
        published = read_published(source)
        folder = convert_task(source, published, args.d, processes)
        report = check_task(source, folder, published, processes)
        if args.link:
            link_equal_files(source, folder)
        print_report(folder, report, args.skip_bad, args.subset)


if __name__ == "__main__":
    main()
