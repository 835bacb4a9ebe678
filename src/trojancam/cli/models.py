"""`trojancam models`: the architectures that can be trained by name."""

from trojancam.cli.console import console


def models() -> None:
    """List the networks that can be trained by name: layers, feature maps, sizes and parameters."""
    from rich.table import Table

    from trojancam.architectures import ARCHITECTURES, count_parameters
    from trojancam.network.network import Network

    table = Table("network", "layer", title="Networks, for 43 classes")
    table.add_column("feature maps", justify="right")
    table.add_column("cells", justify="right")
    for name, architecture in ARCHITECTURES.items():
        module = architecture.build(43)
        head = f"[bold]{name}[/]"
        for layer in Network.from_module(module, specification=architecture.input).layers.values():
            table.add_row(head, layer.name, str(layer.feature_maps), f"{layer.size[0]}x{layer.size[1]}")
            head = ""
        trainable, total = count_parameters(module)
        table.add_row("", "trainable parameters", f"{trainable:,}", "")
        table.add_row("", "... and running statistics", f"{total:,}", "", end_section=True)
    console.print(table)
    for name, architecture in ARCHITECTURES.items():
        console.print(f"[bold]{name}[/]: {architecture.summary}")
