"""The flows that are part of every PBX."""

from __future__ import annotations

from pbx.decisions import (
    ToAnnouncement,
    ToDeskLogin,
    ToDeskLogout,
    ToEcho,
    ToExtension,
    ToFeature,
    ToGroup,
    ToIntercom,
    ToMenu,
    ToMonitor,
    ToOverride,
    ToPark,
    ToParkSlot,
    ToPickup,
    ToProgram,
    ToQueue,
    ToTrunks,
)
from pbx.flows.extension import ring_extension
from pbx.flows.hot_desk import log_in, log_out
from pbx.flows.menu import run_menu
from pbx.flows.monitoring import monitor
from pbx.flows.outbound import call_out
from pbx.flows.paging import intercom
from pbx.flows.parking import park, unpark
from pbx.flows.pickup import pick_up
from pbx.flows.queue import wait_for_agent
from pbx.flows.ring_group import ring_group
from pbx.flows.simple import announce, echo, override, run_program, set_feature
from pbx.flows.visit import Flows


def built_in() -> Flows:
    """Targets that have a flow; mailboxes and conferences come with their services."""
    return Flows(
        {
            ToExtension: ring_extension,
            ToEcho: echo,
            ToGroup: ring_group,
            ToMenu: run_menu,
            ToAnnouncement: announce,
            ToProgram: run_program,
            ToFeature: set_feature,
            ToDeskLogin: log_in,
            ToDeskLogout: log_out,
            ToOverride: override,
            ToTrunks: call_out,
            ToPark: park,
            ToParkSlot: unpark,
            ToPickup: pick_up,
            ToIntercom: intercom,
            ToMonitor: monitor,
            ToQueue: wait_for_agent,
        }
    )
